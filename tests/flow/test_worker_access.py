# SPDX-License-Identifier: Apache-2.0
"""Who may do what, with zot's JSON file: htpasswd, accessControl, TLS; and a static cluster from the same file."""
import contextlib
import hashlib
import json
import signal
import socket
import ssl
import subprocess
import time

import pytest
import requests

from worker_process import CLUSTER_SECRET, MANIFEST, Worker, await_true, digest, free_port, image

PASSWORDS = {"root": "rootsecret", "ann": "annsecret", "bob": "bobsecret", "eve": "evesecret"}


def write_htpasswd(path):
    path.touch()
    for name, password in PASSWORDS.items():
        subprocess.run(["htpasswd", "-Bb", str(path), name, password], check=True, capture_output=True)


@pytest.fixture
def guarded(tmp_path):
    """The example of docs/configuration.md."""
    write_htpasswd(tmp_path / "htpasswd")
    config = {"http": {
        "auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}},
        "accessControl": {
            "repositories": {
                "**": {"defaultPolicy": ["read"], "anonymousPolicy": []},
                "public/*": {"anonymousPolicy": ["read"], "defaultPolicy": ["read", "create"]},
                "team/**": {"policies": [{"users": ["ann"], "groups": ["dev"], "actions": ["read", "create", "update", "delete"]}]}},
            "adminPolicy": {"users": ["root"], "actions": ["read", "create", "update", "delete"]},
            "groups": {"dev": {"users": ["bob"]}}}}}
    with Worker(tmp_path, config=config) as worker:
        yield worker


def as_user(name):
    return {"auth": (name, PASSWORDS[name])} if name else {}


def push(worker, user, name, tag, body=None):
    """Status of the first refused step, or of the manifest's PUT."""
    for data in (b"{}", b"layer"):
        reply = worker.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest(data)}", data=data, **as_user(user))
        if reply.status_code != 201:
            return reply.status_code
    reply = worker.call("PUT", f"/v2/{name}/manifests/{tag}", data=body or image(), headers={"Content-Type": MANIFEST}, **as_user(user))
    return reply.status_code


def test_rules_of_the_longest_pattern_decide(guarded):
    get = lambda user, path: guarded.call("GET", path, **as_user(user)).status_code  # noqa: E731
    assert push(guarded, "ann", "team/app", "v1") == 201
    assert push(guarded, "bob", "team/app", "v2") == 201          # by the group
    assert push(guarded, "eve", "team/app", "v3") == 403          # defaultPolicy of ** does not add
    assert push(guarded, None, "team/app", "v3") == 401
    assert push(guarded, "root", "other/app", "v1") == 201        # adminPolicy
    assert push(guarded, "ann", "other/app", "v2") == 403
    assert get("ann", "/v2/other/app/manifests/v1") == 200
    assert get("eve", "/v2/team/app/manifests/v1") == 403
    assert get(None, "/v2/team/app/manifests/v1") == 401
    assert push(guarded, "eve", "public/app", "v1") == 201
    assert get(None, "/v2/public/app/manifests/v1") == 200
    # Moving a tag is an update, a new one a create.
    assert push(guarded, "eve", "public/app", "v1", image(annotations={"n": "2"})) == 403
    assert push(guarded, "eve", "public/app", "v2", image(annotations={"n": "2"})) == 201
    assert guarded.call("DELETE", "/v2/public/app/manifests/v1", **as_user("eve")).status_code == 403
    assert guarded.call("DELETE", "/v2/public/app/manifests/v1", **as_user("root")).status_code == 202
    names = guarded.call("GET", "/v2/_catalog", **as_user("eve")).json()["repositories"]
    assert names == ["other/app", "public/app"]
    assert guarded.call("GET", "/v2/_catalog").json()["repositories"] == ["public/app"]


def test_a_refusal_looks_as_clients_expect(guarded):
    reply = guarded.call("GET", "/v2/team/app/manifests/v1")
    assert reply.status_code == 401 and reply.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert reply.headers["WWW-Authenticate"].startswith("Basic realm=")
    reply = guarded.call("GET", "/v2/team/app/manifests/v1", **as_user("eve"))
    assert reply.status_code == 403 and reply.json()["errors"][0]["code"] == "DENIED"
    assert guarded.call("GET", "/v2/", **as_user("ann")).status_code == 200


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
                   check=True, capture_output=True)
    return {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


def test_tls(tmp_path):
    tls = make_certificate(tmp_path)
    with Worker(tmp_path, config={"http": {"tls": tls}}, verify=tls["cert"]) as worker:
        data = bytes(range(256)) * 40000
        worker.push_blob("lib/app", data)
        assert worker.call("GET", f"/v2/lib/app/blobs/{digest(data)}").content == data
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(worker.url + "/v2/", timeout=10)
        old = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{worker.port}", "-tls1_1"], stdin=subprocess.DEVNULL, capture_output=True)
        assert old.returncode != 0


def test_a_static_cluster_from_zots_file(tmp_path):
    ports = [free_port() for _ in range(3)]
    cluster = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": "loremipsumdolors", "secret": CLUSTER_SECRET, "isolated": False}
    with contextlib.ExitStack() as stack:
        workers = []
        for port in ports:
            folder = tmp_path / str(port)
            folder.mkdir()
            config = {"storage": {"rootDirectory": str(tmp_path / "store")}, "cluster": dict(cluster)}
            workers.append(stack.enter_context(Worker(folder, port=port, config=config)))
        for n in range(6):
            body = workers[n % 3].push(f"static/app{n}", "v1", layer=str(n).encode())
            for worker in workers:
                assert worker.call("GET", f"/v2/static/app{n}/manifests/v1").content == body
        assert all(worker.counter("proxied_total") > 0 for worker in workers)
        # A client that claims to be a peer is not believed.
        reply = workers[0].call("GET", "/v2/static/app0/manifests/v1", headers={"X-Zot-Cluster-Hop-Count": "1"})
        assert reply.status_code == 200
        workers[2].kill()
        for n in range(6):
            await_true(lambda: workers[0].call("GET", f"/v2/static/app{n}/manifests/v1").status_code == 200)
            workers[0].push(f"static/app{n}", "v2")
        workers[2].start()
        for n in range(6):
            assert workers[2].call("GET", f"/v2/static/app{n}/tags/list").json()["tags"] == ["v1", "v2"]


def test_docker_schema_2(tmp_path):
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    body = image().replace(MANIFEST.encode(), docker.encode())

    def put(worker):
        worker.push_blob("lib/app", b"{}")
        worker.push_blob("lib/app", b"layer")
        return worker.call("PUT", "/v2/lib/app/manifests/v1", data=body, headers={"Content-Type": docker})

    with Worker() as worker:
        reply = put(worker)
        assert reply.status_code == 415 and "docker2s2" in reply.text
    with Worker(config={"http": {"compat": ["docker2s2"]}}) as worker:
        assert put(worker).status_code == 201
        assert worker.call("GET", "/v2/lib/app/manifests/v1").headers["Content-Type"] == docker


def test_rules_are_read_again_when_the_file_changes(guarded):
    config = json.loads((guarded.folder / "config.json").read_text())
    repositories = config["http"]["accessControl"]["repositories"]

    def write(text):
        (guarded.folder / "config.new").write_text(text)
        (guarded.folder / "config.new").rename(guarded.folder / "config.json")

    assert push(guarded, "root", "team/app", "v1") == 201
    get = lambda user: guarded.call("GET", "/v2/team/app/manifests/v1", **as_user(user)).status_code  # noqa: E731
    assert get("eve") == 403
    repositories["team/**"]["policies"][0]["users"].append("eve")
    write(json.dumps(config))
    await_true(lambda: get("eve") == 200, what="the new rule")
    # What is wrong is told, and the rules stay.
    for wrong in ('{"http": ', json.dumps({**config, "htttp": {}}),
                  json.dumps({**config, "http": {**config["http"], "accessControl": {"repositories": {"**": {"defaultPolicy": ["reed"]}}}}})):
        said = guarded.text().count("stay in force")
        write(wrong)
        await_true(lambda: guarded.text().count("stay in force") > said, what="the complaint")
        assert get("eve") == 200 and get("ann") == 200 and get(None) == 401
    repositories["team/**"]["policies"][0]["users"].remove("eve")
    write(json.dumps(config))
    guarded.process.send_signal(signal.SIGHUP)
    await_true(lambda: get("eve") == 403, what="the old rule")
    # A changed password file, too.
    subprocess.run(["htpasswd", "-Bb", str(guarded.folder / "htpasswd"), "new", "newsecret"], check=True, capture_output=True)
    await_true(lambda: guarded.call("GET", "/v2/", auth=("new", "newsecret")).status_code == 200, what="the new user")


def test_limits_are_read_again_and_what_needs_a_restart_is_named(guarded):
    config = json.loads((guarded.folder / "config.json").read_text())

    def write(**http):
        config["http"].update(http)
        (guarded.folder / "config.new").write_text(json.dumps(config))
        (guarded.folder / "config.new").rename(guarded.folder / "config.json")

    def told(*words):
        await_true(lambda: any(all(word in line for word in words) for line in guarded.text().splitlines()), what=f"{words} in the log")

    del guarded.environment["ZOT_LOG_LEVEL"]  # it would beat the file
    guarded.stop()
    guarded.start()
    ask = lambda **more: guarded.call("GET", "/v2/", **more).status_code  # noqa: E731
    many = lambda: [ask(**as_user("ann")) for _ in range(30)]  # noqa: E731
    assert 429 not in many()
    write(ratelimit={"rate": 1})
    told("reload.settings", "http.ratelimit.rate", '"from":0,"to":1')
    assert many().count(429) > 15
    # Wrong ones leave all of the old ones.
    write(ratelimit={"rate": -1}, auth={**config["http"]["auth"], "failDelay": 1})
    told("http.ratelimit.rate", "old settings stay in force")
    assert many().count(429) > 15
    write(ratelimit={"methods": [{"method": "DELETE", "rate": 1}]})
    told("reload.settings", "http.auth.failDelay", '"from":0,"to":1')
    told("reload.settings", "http.ratelimit.methods")
    assert 429 not in many()
    begun = time.monotonic()
    assert ask(auth=("ann", "wrong")) == 401 and time.monotonic() - begun >= 1
    # What cannot change is told and not obeyed; the password stays unspoken.
    config["storage"]["rootDirectory"] = "/elsewhere"
    config["storage"]["indexCache"] = "1MiB"
    write(port="1", realm="another")
    for key in ("http.port", "http.realm", "storage.rootDirectory", "storage.indexCache"):
        told('"level":"warn"', f'"key":"{key}"', "needs a restart")
    assert "Authorization Required" in guarded.call("GET", "/v2/team/app/tags/list").headers["WWW-Authenticate"]
    # The log's level: no line of a request any more, then again.
    config["log"] = {"level": "error"}
    write()
    await_true(lambda: not wrote(guarded, ask), what="silence")
    config["log"] = {"level": "info"}
    write()
    await_true(lambda: wrote(guarded, ask), what="lines of requests")


def wrote(worker, ask):
    before = len(worker.text())
    ask(auth=("ann", PASSWORDS["ann"]))
    worker.call("GET", "/readyz")
    return len(worker.text()) > before


def test_a_certificate_is_renewed(tmp_path):
    tls = make_certificate(tmp_path)

    def serial():
        with socket.create_connection(("127.0.0.1", worker.port)) as plain:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as secure:
                return hashlib.sha256(secure.getpeercert(True)).hexdigest()

    with Worker(tmp_path, config={"http": {"tls": tls}}, verify=tls["cert"]) as worker:
        first = serial()
        (tmp_path / "key.pem").write_text("no key")
        await_true(lambda: "stays in force" in worker.text(), what="the complaint")
        assert serial() == first
        make_certificate(tmp_path)
        await_true(lambda: serial() != first, what="the new certificate")
        worker.session.close()
        worker.push("lib/app", "v1")
