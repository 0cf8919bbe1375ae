# SPDX-License-Identifier: Apache-2.0
"""extensions.trust: keys that administrators upload, and what signatures prove by them."""
import pytest
import requests

from leader_process import SECRET, Leader
from signatures import (ANNOTATION, BUNDLE, COSE, JWS, NOTARY, SIMPLE, Key, b64, bundle_of, certificate, der_of, envelope_of, payload_of, push_signature,
                        sign)
from test_self_service import PASSWORD, add, led
from test_worker_access import as_user, write_htpasswd
from test_worker_search import ask, push
from worker_process import Worker, await_true, digest

COSIGN, NOTATION = "/v2/_zot/ext/cosign", "/v2/_zot/ext/notation"
ALL = ["read", "create", "update", "delete"]


def settings(folder, trust=None, **http):
    """ann is an administrator, bob and eve may read."""
    write_htpasswd(folder / "htpasswd")
    return {"http": {"auth": {"htpasswd": {"path": str(folder / "htpasswd")}},
                     "accessControl": {"adminPolicy": {"users": ["ann"], "actions": ALL}, "repositories": {"**": {"defaultPolicy": ["read"], **http}}}},
            "extensions": {"search": {"enable": True}, "trust": trust or {"enable": True, "cosign": True, "notation": True}}}


ANN = as_user("ann")


def upload(worker, path, body, status=200, **more):
    reply = worker.call("POST", path, data=body, **{**ANN, **more})
    assert reply.status_code == status, reply.text
    return reply.json()["id"] if status == 200 else reply.text


def kept(worker, path):
    return worker.call("GET", path, **ANN).json()["keys"]


def signatures(worker, name="app", tag="v1"):
    """What is told of the image."""
    told = ask(worker, '{Image(image:"%s:%s"){IsSigned SignatureInfo{Tool IsTrusted Author} Manifests{IsSigned SignatureInfo{Tool IsTrusted Author}}}}' % (name, tag), **ANN)["Image"]
    assert told["Manifests"][0]["SignatureInfo"] == told["SignatureInfo"] and told["IsSigned"] == bool(told["SignatureInfo"])
    return [(s["Tool"], s["IsTrusted"], s["Author"]) for s in told["SignatureInfo"]]


def await_signatures(worker, expected, name="app", tag="v1"):
    await_true(lambda: signatures(worker, name, tag) == expected, what=f"{expected}")


def test_who_may_and_what_is_taken(tmp_path):
    key, signer = Key(tmp_path, "one"), Key(tmp_path, "two", "rsa")
    pem = certificate(signer)
    with Worker(tmp_path, config=settings(tmp_path, anonymousPolicy=["read"])) as worker:
        zot, = [e for e in worker.call("GET", "/v2/_oci/ext/discover").json()["extensions"] if e["name"] == "_zot"]
        assert zot["endpoints"][:2] == [NOTATION, COSIGN]
        for path, body in ((COSIGN, key.pem), (NOTATION, pem)):
            for method in ("POST", "GET", "DELETE"):
                assert worker.call(method, path, data=body).status_code == 401, method
                assert worker.call(method, path, data=body, **as_user("bob")).status_code == 403, method
            assert worker.call("PUT", path, data=body, **ANN).status_code == 405
            assert worker.call("POST", path, data=b"x" * 100_000, **ANN).status_code == 413
            assert kept(worker, path) == []
        # The same again is the same, however it is written.
        one = upload(worker, COSIGN, key.pem)
        assert upload(worker, COSIGN, b"\n" + key.pem.replace(b"\n", b"\r\n")) == one
        assert kept(worker, COSIGN) == [{"id": one, "type": "cosign", "pem": key.pem.decode()}]
        two = upload(worker, NOTATION, pem)
        assert upload(worker, NOTATION + "?truststoreType=ca", der_of(pem)) == two
        three = upload(worker, NOTATION + "?truststoreType=signingAuthority", pem)
        assert {(k["id"], k["type"], k["pem"]) for k in kept(worker, NOTATION)} == {(two, "ca", pem.decode()), (three, "signingAuthority", pem.decode())}
        # What is none says what it is.
        for body, why in ((b"", "is empty"), (b"junk", "no PEM"), (signer.path.read_bytes(), "PRIVATE KEY"), (pem, "CERTIFICATE"), (key.pem + signer.pem, "more than one"),
                          (key.pem.replace(b"M", b"N", 1), "")):
            assert why in upload(worker, COSIGN, body, 400), body
        for body, why in ((b"", "is empty"), (b"junk", "certificate"), (key.pem, "PUBLIC KEY"), (pem[:200] + b"\n-----END CERTIFICATE-----\n", ""), (der_of(pem) + b"x", "number 2"),
                          (pem * 17, "over 16")):
            assert why in upload(worker, NOTATION, body, 413 if why == "over 16" else 400), body
        for query in ("tsa", "cosign", "", "x", "ca&truststoreType=ca"):
            upload(worker, f"{NOTATION}?truststoreType={query}", pem, 400)
        # One goes once, and by its own path.
        for path, id, status in ((COSIGN, two, 400), (NOTATION, one, 400), (COSIGN, "x", 400), (COSIGN, "", 400), (COSIGN, one, 200), (COSIGN, one, 404)):
            assert worker.call("DELETE", f"{path}?id={id}", **ANN).status_code == status, (path, id)
        assert kept(worker, COSIGN) == []
        worker.kill()
        worker.start()
        assert {k["id"] for k in kept(worker, NOTATION)} == {two, three} and kept(worker, COSIGN) == []


def test_off_is_off(tmp_path):
    on = {"enable": True, "cosign": True, "notation": True}
    for number, (search, trust) in enumerate(((True, {**on, "enable": False}), (True, {"enable": True}), (False, on))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Worker(folder, config={**settings(folder), "extensions": {"search": {"enable": search}, "trust": trust}}) as worker:
            assert worker.call("POST", COSIGN, data=b"x", **ANN).status_code == 404 and worker.call("POST", NOTATION, data=b"x", **ANN).status_code == 404
            assert not (worker.folder / "data/trust.db").exists()
    folder = tmp_path / "one"
    folder.mkdir()
    with Worker(folder, config=settings(folder, {"enable": True, "cosign": True})) as worker:
        assert worker.call("GET", COSIGN, **ANN).status_code == 200 and worker.call("GET", NOTATION, **ANN).status_code == 404


def test_signatures_of_cosign(tmp_path):
    key, other = Key(tmp_path, "one"), Key(tmp_path, "other", "rsa")
    third = Key(tmp_path, "third", "ed25519")
    with Worker(tmp_path, config=settings(tmp_path)) as worker:
        image = push(worker, "app", "v1", **ANN)
        sign(worker, "app", image, key, other, **ANN)
        untrusted = ("cosign", False, "")
        assert signatures(worker) == [untrusted] * 2
        id = upload(worker, COSIGN, key.pem)
        await_signatures(worker, [("cosign", True, key.pem.decode()), untrusted])
        # Pushed later, it is known at once.
        upload(worker, COSIGN, third.pem)
        sign(worker, "app", image, third, key, **ANN)
        await_signatures(worker, [("cosign", True, third.pem.decode()), ("cosign", True, key.pem.decode())])
        # One of another image proves nothing for this one, whoever made it.
        second = push(worker, "app", "v2", (b"another",), **ANN)
        sign(worker, "app", second, key, target=digest(image), **ANN)
        assert signatures(worker, tag="v2") == [untrusted]
        # As cosign 3 signs.
        push_signature(worker, "app", [(BUNDLE, bundle_of(key, digest(second)), None)], subject=second, artifact_type=BUNDLE, **ANN)
        await_signatures(worker, [untrusted, ("cosign", True, key.pem.decode())], tag="v2")
        # A key that goes takes its trust along, and a start changes nothing of that.
        assert worker.call("DELETE", f"{COSIGN}?id={id}", **ANN).status_code == 200
        await_signatures(worker, [("cosign", True, third.pem.decode()), untrusted])
        await_signatures(worker, [untrusted, untrusted], tag="v2")
        worker.kill()
        worker.start()
        await_signatures(worker, [("cosign", True, third.pem.decode()), untrusted])
        # All images of a list, too; HasToBeSigned is about signatures, not about trust.
        told = ask(worker, '{GlobalSearch(query:"", filter: {HasToBeSigned: true}){Repos{NewestImage{IsSigned SignatureInfo{IsTrusted}}}}}', **ANN)["GlobalSearch"]["Repos"]
        assert len(told) == 1 and told[0]["NewestImage"]["IsSigned"]


def test_signatures_of_notation(tmp_path):
    signer, other = Key(tmp_path, "one", "rsa"), Key(tmp_path, "other", "rsa")
    pem, theirs = certificate(signer), certificate(other, "/CN=other")
    author = "CN=signer,O=acme,C=DE"

    def signed(worker, image, *envelopes, kind=JWS):
        return push_signature(worker, "app", [(kind, envelope, None) for envelope in envelopes], subject=image, artifact_type=NOTARY, **ANN)

    def untag(worker, what):
        assert worker.call("DELETE", f"/v2/app/manifests/{what}", **ANN).status_code == 202

    with Worker(tmp_path, config=settings(tmp_path)) as worker:
        image = push(worker, "app", "v1", **ANN)
        target = digest(image)
        first = signed(worker, image, envelope_of(signer, pem, target))
        assert signatures(worker) == [("notation", False, "")]
        upload(worker, NOTATION, theirs)
        authority = upload(worker, NOTATION + "?truststoreType=signingAuthority", pem)
        assert signatures(worker) == [("notation", False, "")]          # neither by this one, nor in this trust store
        ca = upload(worker, NOTATION, pem)
        await_signatures(worker, [("notation", True, author)])
        untag(worker, first)
        # What does not prove it, or not any more.
        for envelope, kind, trusted, who in ((envelope_of(signer, pem, target, expiry="2026-01-02T00:00:00Z"), JWS, False, author),
                                             (envelope_of(signer, pem, target, expiry="2126-01-02T00:00:00Z"), JWS, True, author),
                                             (envelope_of(signer, pem, "sha256:" + "0" * 64), JWS, False, ""),
                                             (envelope_of(other, pem, target), JWS, False, ""),
                                             (envelope_of(signer, pem, target, crit=["io.cncf.notary.signingScheme", "x"]), JWS, False, ""),
                                             (envelope_of(signer, pem, target), COSE, False, ""),
                                             (b"junk", JWS, False, "")):
            pushed = signed(worker, image, envelope, kind=kind)
            await_signatures(worker, [("notation", trusted, who)])
            untag(worker, pushed)
        for id in (ca, authority):
            assert worker.call("DELETE", f"{NOTATION}?id={id}", **ANN).status_code == 200
        signed(worker, image, envelope_of(signer, pem, target))
        await_signatures(worker, [("notation", False, "")])


def test_a_signature_of_many_layers(tmp_path):
    """What is over the bounds of one manifest is told, and proves nothing."""
    key = Key(tmp_path, "one")
    with Worker(tmp_path, config=settings(tmp_path)) as worker:
        upload(worker, COSIGN, key.pem)
        image = push(worker, "app", "v1", **ANN)
        sign(worker, "app", image, *[key] * 40, **ANN)
        await_signatures(worker, [("cosign", True, key.pem.decode())] * 32 + [("cosign", False, "")] * 8)
        # Four MiB are read, whatever comes first.
        payload = payload_of(digest(image))
        good = (SIMPLE, payload, {ANNOTATION: b64(key.sign(payload))})
        large = (SIMPLE, b" " * (4 * 1024 * 1024 - 100), {ANNOTATION: "AAAA"})
        push_signature(worker, "app", [large, good], tag=digest(image).replace(":", "-") + ".sig", **ANN)
        await_signatures(worker, [("cosign", False, "")] * 2)
        push_signature(worker, "app", [good, large], tag=digest(image).replace(":", "-") + ".sig", **ANN)
        await_signatures(worker, [("cosign", True, key.pem.decode()), ("cosign", False, "")])


# With leaders.

def test_all_workers_know_it_and_the_leaders_keep_it(tmp_path):
    key = Key(tmp_path, "one")
    on = {"ZOT_SEARCH": "true", "ZOT_TRUST": "true", "ZOT_TRUST_COSIGN": "true"}
    with Leader() as leader:
        for name, roles in (("ann", ["admin"]), ("bob", [])):
            add(leader, name, roles=roles)
        leader.admin("PUT", "/api/policy/**", {"defaultPolicy": ALL})

        def call(worker, method, path=COSIGN, user="ann", **more):
            return requests.request(method, worker.url + path, auth=(user, PASSWORD), timeout=60, **more)

        with led(leader, ZOT_STORAGE_ROOT=str(tmp_path / "store"), **on) as worker:
            await_true(lambda: call(worker, "GET").status_code == 200, what="the users")
            ann = {"auth": ("ann", PASSWORD)}
            image = push(worker, "app", "v1", **ann)
            sign(worker, "app", image, key, **ann)

            def is_trusted():
                told = ask(worker, '{Image(image:"app:v1"){SignatureInfo{IsTrusted Author}}}', **ann)["Image"]["SignatureInfo"]
                return [(s["IsTrusted"], s["Author"]) for s in told]

            assert is_trusted() == [(False, "")]
            assert call(worker, "POST", data=key.pem, user="bob").status_code == 403
            assert requests.post(worker.url + COSIGN, data=key.pem, timeout=60).status_code == 401
            assert call(worker, "POST", data=b"junk").status_code == 400
            id = call(worker, "POST", data=key.pem).json()["id"]
            assert call(worker, "POST", data=key.pem).json()["id"] == id
            await_true(lambda: is_trusted() == [(True, key.pem.decode())], what="trust")
            kept = leader.admin("GET", f"/api/trust/{id}").json()
            assert kept["id"] == id and kept["type"] == "cosign" and kept["pem"] == key.pem.decode()
            # Nobody writes one at the leaders: what it is was not looked at there.
            assert leader.admin("PUT", f"/api/trust/{id}", {"type": "cosign", "pem": "x"}).status_code == 405
            assert "ann" in leader.admin("GET", "/api/audit?kind=trust").text
            with led(leader, CLUSTER_WORKER_NAME="two", ZOT_STORAGE_ROOT=str(tmp_path / "store"), **on) as other:
                await_true(lambda: call(other, "GET").status_code == 200 and [k["id"] for k in call(other, "GET").json()["keys"]] == [id], what="the key at the other")
                assert call(other, "DELETE", f"{COSIGN}?id={id}").status_code == 200
                assert call(other, "DELETE", f"{COSIGN}?id={id}").status_code == 200      # asked again, it is gone as well
                await_true(lambda: call(worker, "GET").json()["keys"] == [], what="the end of the key")
            assert call(worker, "POST", data=key.pem).json()["id"] == id
            assert leader.admin("DELETE", f"/api/trust/{id}").status_code in (200, 204)
            await_true(lambda: call(worker, "GET").json()["keys"] == [], what="the end of the key")


@pytest.mark.parametrize("wrong", ({"type": "tsa"}, {"pem": "junk"}, {"pem": None}, {"type": "ca"}))
def test_what_leaders_refuse_of_workers(shared_leader, wrong):
    body = {"type": "cosign", "pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}

    def send(user="ann", **more):
        return requests.put(shared_leader.url + "/api/cluster/self/trust", params={"user": user}, auth=("workers", SECRET), timeout=60, json={**body, **more})
    assert send(**wrong).status_code == 400
    assert send(user="stranger").status_code == 403 and send(user="").status_code == 400
    assert requests.delete(shared_leader.url + "/api/cluster/self/trust?user=ann&id=x", auth=("workers", SECRET), timeout=60, json={}).status_code == 400


@pytest.fixture(scope="module")
def shared_leader():
    with Leader() as leader:
        add(leader, "ann")
        yield leader


def test_they_have_an_end(shared_leader):
    def send(number):
        pem = f"-----BEGIN PUBLIC KEY-----\n{number}\n-----END PUBLIC KEY-----\n"
        return requests.put(shared_leader.url + "/api/cluster/self/trust", params={"user": "ann"}, auth=("workers", SECRET), timeout=60, json={"type": "cosign", "pem": pem})
    assert {send(n).status_code for n in range(100)} == {200}
    assert send(100).status_code == 409 and send(0).status_code == 200
    shared_leader.admin("DELETE", "/api/trust/" + send(1).json()["id"])
    assert send(100).status_code in (200, 429)
