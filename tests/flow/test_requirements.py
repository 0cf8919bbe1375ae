# SPDX-License-Identifier: Apache-2.0
"""What the distribution specification demands of a registry, statement by statement, where no other test says it."""
import hashlib
import http.client
import json
import re

import pytest

from worker_process import MANIFEST, Worker, digest, image

INDEX = "application/vnd.oci.image.index.v1+json"
CODES = {"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
         "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"}


@pytest.fixture(scope="module")
def registry():
    with Worker() as one:
        yield one


def refused(reply, status, *codes):
    """An error's body is JSON with codes that the specification knows, and text for people."""
    assert reply.status_code == status, (reply.status_code, reply.text)
    errors = reply.json()["errors"]
    assert errors and all(e["code"] in CODES and e["message"] for e in errors), reply.text
    assert not codes or errors[0]["code"] in codes, reply.text


def put(registry, name, reference, body, kind=MANIFEST, **more):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return registry.call("PUT", f"/v2/{name}/manifests/{reference}", data=body, headers={"Content-Type": kind}, **more)


def pulled(registry, location):
    reply = registry.call("GET", location)
    assert reply.status_code == 200, (location, reply.status_code)
    return reply.content


# Names, tags, digests.

@pytest.mark.parametrize("name", ["a", "0", "a/b/c/d", "a.b", "a_b", "a__b", "a-b", "a---b", "a.b_c__d-e/f0"])
def test_names_that_are_legal(registry, name):
    registry.push(name, "v1")
    assert registry.call("GET", f"/v2/{name}/tags/list").json() == {"name": name, "tags": ["v1"]}


@pytest.mark.parametrize("name", ["A", "a/B", "a..b", "a___b", "-a", "a-", ".a", "_a", "a/.b", "a//b", "a/", "a%20b", "a%2F%2Fb", "%C3%A4", "a/" * 200 + "a"])
def test_names_that_are_not(registry, name):
    refused(registry.call("GET", f"/v2/{name}/tags/list"), 400, "NAME_INVALID")
    refused(registry.call("POST", f"/v2/{name}/blobs/uploads/"), 400, "NAME_INVALID")


@pytest.mark.parametrize("tag", ["_", "9", "Latest", "v1.0-rc_2", "a" * 128])
def test_tags_that_are_legal(registry, tag):
    registry.push("tags/legal", tag)
    assert pulled(registry, f"/v2/tags/legal/manifests/{tag}") == image()


@pytest.mark.parametrize("tag", [".a", "-a", "a" * 129, "a%2Bb", "a%20b"])
def test_tags_that_are_not(registry, tag):
    registry.push("tags/legal", "v1")
    refused(put(registry, "tags/legal", tag, image()), 400, "MANIFEST_INVALID")
    refused(registry.call("GET", f"/v2/tags/legal/manifests/{tag}"), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("wrong", ["sha256:short", "sha256:" + "A" * 64, "sha256:" + "g" * 64, "md5:" + "0" * 32, "blake9:" + "0" * 64, "sha512:" + "0" * 64])
def test_a_wrong_digest_is_refused_on_every_way_of_a_blob(registry, wrong):
    data, uploads = b"bytes", "/v2/digests/app/blobs/uploads/"
    refused(registry.call("POST", f"{uploads}?digest={wrong}", data=data), 400, "DIGEST_INVALID")
    refused(registry.call("POST", f"{uploads}?mount={wrong}"), 400, "DIGEST_INVALID")
    where = registry.start_upload("digests/app")
    refused(registry.call("PUT", where, params={"digest": wrong}, data=data), 400, "DIGEST_INVALID")
    where = registry.start_upload("digests/app")
    registry.call("PATCH", where, data=data, headers={"Content-Range": "0-4"})
    refused(registry.call("PUT", where, params={"digest": wrong}), 400, "DIGEST_INVALID")
    where = registry.start_upload("digests/app")
    registry.call("PATCH", where, data=iter([data]))
    refused(registry.call("PUT", where, params={"digest": wrong}), 400, "DIGEST_INVALID")
    for method in ("GET", "DELETE"):
        refused(registry.call(method, f"/v2/digests/app/blobs/{wrong}"), 400, "DIGEST_INVALID")
    refused(registry.call("GET", f"/v2/digests/app/referrers/{wrong}"), 400, "DIGEST_INVALID")
    refused(put(registry, "digests/app", wrong, image()), 400, "DIGEST_INVALID")


# Pull.

DOCKER = "application/vnd.docker.distribution.manifest"
# What each client sends, line by line.
ACCEPTS = {
    "docker": [f"{DOCKER}.v2+json", f"{DOCKER}.list.v2+json", INDEX, MANIFEST, f"{DOCKER}.v1+prettyjws", "application/json"],
    "containerd": [f"{DOCKER}.v2+json, {DOCKER}.list.v2+json, {MANIFEST}, {INDEX}, */*"],
    "skopeo": [MANIFEST, f"{DOCKER}.v2+json", f"{DOCKER}.v1+prettyjws", f"{DOCKER}.v1+json", f"{DOCKER}.list.v2+json", INDEX],
    "crane": [f"{DOCKER}.v1+json,{DOCKER}.v1+prettyjws,{DOCKER}.v2+json,{MANIFEST},{DOCKER}.list.v2+json,{INDEX}"],
    "nothing": [], "anything": ["*/*"], "weights": [f"{INDEX};q=0.5, {MANIFEST};q=0.9"], "another": ["text/html"],
}


@pytest.mark.parametrize("client", ACCEPTS)
def test_a_manifest_comes_as_it_was_pushed_whatever_is_accepted(registry, client):
    """There is one form of each manifest: its bytes. So Accept chooses nothing, on however many lines it comes."""
    body = registry.push("accept/app", "v1")
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": digest(body), "size": len(body)}]})
    assert put(registry, "accept/app", "all", index.encode(), INDEX).status_code == 201
    for reference, kind, wanted in (("v1", MANIFEST, body), (digest(body), MANIFEST, body), ("all", INDEX, index.encode())):
        for method in ("GET", "HEAD"):
            connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
            connection.putrequest(method, f"/v2/accept/app/manifests/{reference}")
            for line in ACCEPTS[client]:
                connection.putheader("Accept", line)
            connection.endheaders()
            reply = connection.getresponse()
            content = reply.read()
            assert reply.status == 200 and reply.headers["Content-Type"] == kind
            assert reply.headers["Content-Length"] == str(len(wanted)) and reply.headers["Docker-Content-Digest"] == digest(wanted)
            assert content == (wanted if method == "GET" else b"")
            connection.close()


@pytest.mark.parametrize("kind", [MANIFEST + "; charset=utf-8", MANIFEST.upper(), ""])
def test_parameters_of_a_content_type_are_ignored(registry, kind):
    registry.push("types/app", "v1")
    assert put(registry, "types/app", "v2", image(), kind).status_code == 201
    assert registry.call("GET", "/v2/types/app/manifests/v2").headers["Content-Type"] == MANIFEST


@pytest.mark.parametrize("path", ["manifests/v1", f"manifests/{digest(b'no')}", f"blobs/{digest(b'no')}", f"blobs/sha512:{'0' * 128}"])
def test_what_is_absent_is_404(registry, path):
    registry.push("absent/app", "v0")
    for name in ("absent/app", "absent/repository"):
        codes = {"NAME_UNKNOWN", "BLOB_UNKNOWN" if "blobs" in path else "MANIFEST_UNKNOWN"}
        refused(registry.call("GET", f"/v2/{name}/{path}"), 404, *codes)
        head = registry.call("HEAD", f"/v2/{name}/{path}")
        assert head.status_code == 404 and head.content == b""
    refused(registry.call("GET", "/v2/absent/repository/tags/list"), 404, "NAME_UNKNOWN")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("data", [b"", b"{}", b"some bytes" * 1000], ids=len)
def test_a_blob_is_told_by_the_digest_that_was_asked_for(registry, algorithm, data):
    name = registry.push_blob("blobs/app", data, algorithm)
    for method in ("GET", "HEAD"):
        reply = registry.call(method, f"/v2/blobs/app/blobs/{name}")
        assert reply.status_code == 200 and reply.headers["Docker-Content-Digest"] == name
        assert reply.headers["Content-Length"] == str(len(data)) and reply.headers["Accept-Ranges"] == "bytes"
        assert reply.content == (data if method == "GET" else b"")


def test_a_manifest_is_told_by_the_digest_that_was_asked_for(registry):
    registry.push("long/app", "v1")
    body = image(annotations={"digest": "long"})
    name = digest(body, "sha512")
    reply = put(registry, "long/app", name, body)
    assert reply.status_code == 201 and reply.headers["Docker-Content-Digest"] == name
    assert pulled(registry, reply.headers["Location"]) == body
    for method in ("GET", "HEAD"):
        reply = registry.call(method, f"/v2/long/app/manifests/{name}")
        assert reply.headers["Docker-Content-Digest"] == name and reply.headers["Content-Length"] == str(len(body))


def test_a_proxy_parameter_is_passed_over(registry):
    body = registry.push("ns/app", "v1")
    reply = registry.call("GET", "/v2/ns/app/manifests/v1?ns=docker.io")
    assert reply.content == body and "OCI-Namespace" not in reply.headers
    assert registry.call("GET", f"/v2/ns/app/blobs/{digest(b'layer')}?ns=docker.io").content == b"layer"


def test_nothing_is_encoded_on_the_way(registry):
    body = registry.push("plain/app", "v1", annotations={"long": "a" * 5000})
    for path, wanted in (("manifests/v1", body), (f"blobs/{digest(b'layer')}", b"layer")):
        reply = registry.call("GET", f"/v2/plain/app/{path}", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
        assert "Content-Encoding" not in reply.headers and reply.headers["Content-Length"] == str(len(wanted)) and reply.content == wanted


# Push.

def test_the_base_is_there_for_clients_that_look(registry):
    reply = registry.call("GET", "/v2/")
    assert reply.status_code == 200 and reply.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_each_upload_has_a_place_of_its_own(registry):
    places = {registry.start_upload("uploads/app") for _ in range(10)}
    assert len(places) == 10
    assert all(re.search(r"/v2/uploads/app/blobs/uploads/[0-9a-zA-Z._=-]+$", place) for place in places)


def test_post_then_put(registry):
    data = b"whole in the put"
    reply = registry.call("PUT", registry.start_upload("uploads/app"), params={"digest": digest(data)}, data=data,
                          headers={"Content-Type": "application/octet-stream"})
    assert reply.status_code == 201 and pulled(registry, reply.headers["Location"]) == data


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_one_post(registry, algorithm):
    data = b"whole in the post"
    reply = registry.call("POST", f"/v2/uploads/app/blobs/uploads/?digest={digest(data, algorithm)}", data=data)
    assert reply.status_code == 201 and pulled(registry, reply.headers["Location"]) == data


def test_an_algorithm_is_announced(registry):
    for algorithm in ("sha256", "sha512"):
        data = algorithm.encode()
        where = registry.call("POST", f"/v2/uploads/app/blobs/uploads/?digest-algorithm={algorithm}").headers["Location"]
        reply = registry.call("PUT", where, params={"digest": digest(data, algorithm)}, data=data)
        assert reply.status_code == 201 and pulled(registry, reply.headers["Location"]) == data
    refused(registry.call("POST", "/v2/uploads/app/blobs/uploads/?digest-algorithm=md5"), 400, "DIGEST_INVALID")


def test_chunks_to_the_end(registry):
    """The last one comes in the PUT; one that is out of order leaves the upload as it was, there too."""
    where = registry.start_upload("uploads/app")
    status = registry.call("GET", where)
    assert status.status_code == 204 and status.headers["Range"].startswith("0-") and status.headers["Location"]
    first = registry.call("PATCH", where, data=b"0123", headers={"Content-Range": "0-3"})
    assert first.status_code == 202 and first.headers["Range"] == "0-3"
    refused(registry.call("PATCH", first.headers["Location"], data=b"89", headers={"Content-Range": "8-9"}), 416)
    second = registry.call("PATCH", first.headers["Location"], data=b"45", headers={"Content-Range": "4-5"})
    assert second.status_code == 202 and second.headers["Range"] == "0-5"
    name = digest(b"01234567")
    refused(registry.call("PUT", second.headers["Location"], params={"digest": name}, data=b"89", headers={"Content-Range": "8-9"}), 416)
    status = registry.call("GET", second.headers["Location"])
    assert status.status_code == 204 and status.headers["Range"] == "0-5"
    last = registry.call("PUT", status.headers["Location"], params={"digest": name}, data=b"67", headers={"Content-Range": "6-7"})
    assert last.status_code == 201 and pulled(registry, last.headers["Location"]) == b"01234567"
    refused(registry.call("GET", where), 404, "BLOB_UPLOAD_UNKNOWN")
    refused(registry.call("PATCH", where, data=b"x"), 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_stream_of_unknown_length(registry):
    data = b"streamed" * 10000
    patched = registry.call("PATCH", registry.start_upload("uploads/app"), data=(data[i:i + 1000] for i in range(0, len(data), 1000)))
    assert patched.status_code == 202 and patched.headers["Range"] == f"0-{len(data) - 1}"
    reply = registry.call("PUT", patched.headers["Location"], params={"digest": digest(data)})
    assert reply.status_code == 201 and pulled(registry, reply.headers["Location"]) == data


@pytest.mark.parametrize("range_", ["a-b", "5", "3-1", "0-99999999999999999999"])
def test_a_malformed_chunk_is_refused(registry, range_):
    where = registry.start_upload("uploads/app")
    refused(registry.call("PATCH", where, data=b"0123", headers={"Content-Range": range_}), 400, "BLOB_UPLOAD_INVALID")
    assert registry.call("GET", where).status_code == 204


def test_a_mount_has_a_place_that_is_pulled(registry):
    name = registry.push_blob("mount/one", b"to be mounted")
    reply = registry.call("POST", f"/v2/mount/two/blobs/uploads/?mount={name}&from=mount/one")
    assert reply.status_code == 201 and pulled(registry, reply.headers["Location"]) == b"to be mounted"
    other = registry.call("POST", f"/v2/mount/two/blobs/uploads/?mount={digest(b'x')}&from=mount/one")
    assert other.status_code == 202
    assert registry.call("PUT", other.headers["Location"], params={"digest": digest(b"x")}, data=b"x").status_code == 201


def test_bytes_of_a_manifest_are_kept(registry):
    """Blanks, order and members that nobody knows."""
    registry.push("bytes/app", "v1")
    body = b"\n { " + image(unknown={"b": [1, 2.50, None]}, annotations={}).strip()[1:-1] + b" \t}\r\n"
    reply = put(registry, "bytes/app", "v2", body)
    assert reply.status_code == 201 and reply.headers["Docker-Content-Digest"] == digest(body)
    assert pulled(registry, reply.headers["Location"]) == body == pulled(registry, "/v2/bytes/app/manifests/v2")


def test_an_image_without_layers_and_an_index_without_members(registry):
    registry.push("empty/app", "v1")
    empty = json.loads(image())
    empty["layers"] = []
    assert put(registry, "empty/app", "v2", empty).status_code == 201
    assert put(registry, "empty/app", "v3", {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, INDEX).status_code == 201


def test_a_manifest_that_says_it_is_another_type_is_refused(registry):
    registry.push("types/app", "v1")
    refused(put(registry, "types/app", "v9", image(), INDEX), 400, "MANIFEST_INVALID")


def test_tag_parameters(registry):
    registry.push("tagged/app", "v0")
    body = image(annotations={"tags": "many"})
    tags = [f"t{n}" for n in range(12)]
    reply = put(registry, "tagged/app", digest(body), body, params=[("tag", tag) for tag in tags])
    assert reply.status_code == 201 and [t.strip() for t in reply.headers["OCI-Tag"].split(",")] == tags
    assert all(pulled(registry, f"/v2/tagged/app/manifests/{tag}") == body for tag in tags)
    refused(put(registry, "tagged/app", digest(body), body, params=[("tag", f"x{n}") for n in range(47)]), 414)
    refused(put(registry, "tagged/app", digest(body), body, params={"tag": "not a tag"}), 400)
    refused(put(registry, "tagged/app", "v1", body, params={"tag": "v2"}), 400)


def test_manifests_of_four_megabytes(registry):
    registry.push("large/app", "v0")
    body = image(annotations={f"k{n}": "x" * 10000 for n in range(390)})
    assert 3900000 < len(body) < 4 * 1024 * 1024
    for reference in ("v1", digest(body)):
        assert put(registry, "large/app", reference, body).status_code == 201
        reply = registry.call("GET", f"/v2/large/app/manifests/{reference}")
        assert reply.content == body and reply.headers["Content-Length"] == str(len(body))
    refused(put(registry, "large/app", "v2", body + b" " * (4 * 1024 * 1024)), 413)


# Lists.

def tags_of(registry, query=""):
    return registry.call("GET", "/v2/list/app/tags/list" + query)


def test_tags_page_by_page(registry):
    everything = sorted(["B", "a", "_", "v1", "v10", "v2", "v1.0-x"])
    for tag in everything:
        registry.push("list/app", tag)
    assert tags_of(registry).json() == {"name": "list/app", "tags": everything} and "Link" not in tags_of(registry).headers
    for n in range(1, len(everything) + 3):
        seen, query = [], f"?n={n}"
        while query:
            reply = tags_of(registry, query)
            tags = reply.json()["tags"]
            seen += tags
            link = reply.headers.get("Link")
            assert len(tags) == n or not link
            if link:
                path, query = re.fullmatch(r'<(/v2/list/app/tags/list)(\?[^>]+)>; rel="next"', link).groups()
                assert f"n={n}" in query and f"last={tags[-1]}" in query
            else:
                query = None
        assert seen == everything
    assert tags_of(registry, f"?n={len(everything)}").headers.get("Link") is None
    empty = tags_of(registry, "?n=0")
    assert empty.status_code == 200 and empty.json()["tags"] == [] and "Link" not in empty.headers
    # `last` is a value, and need not be a tag that there is.
    assert tags_of(registry, "?last=v1").json()["tags"] == ["v1.0-x", "v10", "v2"]
    assert tags_of(registry, "?last=v1&n=1").json()["tags"] == ["v1.0-x"]
    assert tags_of(registry, "?last=t").json()["tags"] == ["v1", "v1.0-x", "v10", "v2"]
    beyond = tags_of(registry, "?last=zzz&n=5")
    assert beyond.status_code == 200 and beyond.json()["tags"] == [] and "Link" not in beyond.headers
    for wrong in ("?n=x", "?n=-1", "?n=", "?n=1&n=2", "?last=a&last=b", "?n=1.5"):
        refused(tags_of(registry, wrong), 400)


def test_repositories_page_by_page(registry):
    for name in ("zz/catalog-b", "zz/catalog-a", "zz/catalog_a"):
        registry.push(name, "v1")
    found = registry.call("GET", "/v2/_catalog?last=zz").json()["repositories"]
    assert found == ["zz/catalog-a", "zz/catalog-b", "zz/catalog_a"]
    first = registry.call("GET", "/v2/_catalog?n=1&last=zz")
    assert first.json()["repositories"] == ["zz/catalog-a"]
    assert first.headers["Link"] == '</v2/_catalog?n=1&last=zz%2Fcatalog-a>; rel="next"'
    second = registry.call("GET", first.links["next"]["url"])
    assert second.json()["repositories"] == ["zz/catalog-b"]
    last = registry.call("GET", second.links["next"]["url"])
    assert last.json()["repositories"] == ["zz/catalog_a"] and "Link" not in last.headers
    for query in ("?n=0", "?last=zzz"):
        empty = registry.call("GET", "/v2/_catalog" + query)
        assert empty.status_code == 200 and empty.json()["repositories"] == [] and "Link" not in empty.headers
    for wrong in ("?n=x", "?n=-1", "?n=1&n=2"):
        refused(registry.call("GET", "/v2/_catalog" + wrong), 400)


def test_a_repository_whose_tags_are_gone_has_an_empty_list(registry):
    registry.push("emptied/app", "v1")
    assert registry.call("DELETE", "/v2/emptied/app/manifests/v1").status_code == 202
    reply = registry.call("GET", "/v2/emptied/app/tags/list")
    assert reply.status_code == 200 and reply.json() == {"name": "emptied/app", "tags": []}


# Referrers.

def refer(registry, name, subject, **more):
    body = image(subject={"mediaType": MANIFEST, "digest": subject, "size": 7}, **more)
    reply = put(registry, name, digest(body), body)
    assert reply.status_code == 201 and reply.headers["OCI-Subject"] == subject
    return digest(body)


def referrers(registry, name, subject, query=""):
    reply = registry.call("GET", f"/v2/{name}/referrers/{subject}{query}")
    assert reply.status_code == 200 and reply.headers["Content-Type"] == INDEX
    assert reply.json()["schemaVersion"] == 2 and reply.json()["mediaType"] == INDEX
    return reply


def test_referrers_of_what_is_not_there(registry):
    registry.push("refer/app", "v1")
    for name in ("refer/app", "refer/nowhere"):
        assert referrers(registry, name, digest(b"no such subject")).json()["manifests"] == []
        assert referrers(registry, name, "sha512:" + "0" * 128).json()["manifests"] == []


def test_referrers_have_types_and_annotations(registry):
    registry.push("refer/app", "v1")
    subject = digest(b"comes later, or never")
    by_config = refer(registry, "refer/app", subject, annotations={"a": "1"})
    by_type = refer(registry, "refer/app", subject, artifactType="application/vnd.example.sbom")
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"i": "x"},
                        "subject": {"mediaType": MANIFEST, "digest": subject, "size": 7}}).encode()
    assert put(registry, "refer/app", digest(index), index, INDEX).headers["OCI-Subject"] == subject
    found = {m["digest"]: m for m in referrers(registry, "refer/app", subject).json()["manifests"]}
    assert set(found) == {by_config, by_type, digest(index)}
    assert found[by_config]["artifactType"] == "application/vnd.oci.image.config.v1+json" and found[by_config]["annotations"] == {"a": "1"}
    assert found[by_type]["artifactType"] == "application/vnd.example.sbom"
    assert "artifactType" not in found[digest(index)] and found[digest(index)]["annotations"] == {"i": "x"}
    assert found[digest(index)]["mediaType"] == INDEX and found[digest(index)]["size"] == len(index)
    one = referrers(registry, "refer/app", subject, "?artifactType=application/vnd.example.sbom")
    assert [m["digest"] for m in one.json()["manifests"]] == [by_type] and one.headers["OCI-Filters-Applied"] == "artifactType"
    assert "OCI-Filters-Applied" not in referrers(registry, "refer/app", subject).headers
    two = referrers(registry, "refer/app", subject,
                    "?artifactType=application/vnd.example.sbom&artifactType=application/vnd.oci.image.config.v1%2Bjson")
    assert {m["digest"] for m in two.json()["manifests"]} == {by_config, by_type}
    # A referrer that is deleted is no referrer.
    assert registry.call("DELETE", f"/v2/refer/app/manifests/{by_type}").status_code == 202
    assert by_type not in {m["digest"] for m in referrers(registry, "refer/app", subject).json()["manifests"]}


def test_referrers_page_by_page(registry):
    registry.push("refer/many", "v1")
    subject = digest(b"of many")
    wanted = {refer(registry, "refer/many", subject, annotations={"n": str(n)}, artifactType="a/b+c") for n in range(5)}
    seen, query = [], "?n=2&artifactType=a/b%2Bc"
    while query:
        reply = referrers(registry, "refer/many", subject, query)
        assert reply.headers["OCI-Filters-Applied"] == "artifactType"
        seen += [m["digest"] for m in reply.json()["manifests"]]
        query = reply.links["next"]["url"].split("?")[1] if "next" in reply.links else None
        query = query and "?" + query
    assert len(seen) == 5 and set(seen) == wanted


def test_one_page_too_many_for_a_manifest(registry):
    """What does not fit into the size of a manifest comes on another page, without anybody asking for pages."""
    registry.push("refer/fat", "v1")
    subject = digest(b"of fat ones")
    wanted = {refer(registry, "refer/fat", subject, annotations={"n": str(n), "fat": "x" * 1500000}) for n in range(4)}
    seen, path = [], f"/v2/refer/fat/referrers/{subject}"
    while path:
        reply = registry.call("GET", path)
        assert len(reply.content) <= 4 * 1024 * 1024 + 1024
        seen += [m["digest"] for m in reply.json()["manifests"]]
        path = reply.links["next"]["url"] if "next" in reply.links else None
    assert len(seen) == 4 and set(seen) == wanted


# Content management.

def test_a_manifest_that_is_deleted_takes_its_tags(registry):
    body = registry.push("delete/app", "v1", annotations={"to": "go"})
    put(registry, "delete/app", "v2", body)
    registry.push("delete/app", "stays")
    assert registry.call("DELETE", f"/v2/delete/app/manifests/{digest(body)}").status_code == 202
    for reference in ("v1", "v2", digest(body)):
        refused(registry.call("GET", f"/v2/delete/app/manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    assert registry.call("GET", "/v2/delete/app/tags/list").json()["tags"] == ["stays"]


def test_deletes_of_what_is_not_there(registry):
    registry.push("delete/app", "v1")
    refused(registry.call("DELETE", f"/v2/delete/app/manifests/{digest(b'no')}"), 404, "MANIFEST_UNKNOWN")
    refused(registry.call("DELETE", "/v2/delete/app/manifests/no"), 404, "MANIFEST_UNKNOWN")
    refused(registry.call("DELETE", f"/v2/delete/nowhere/manifests/{digest(b'no')}"), 404, "NAME_UNKNOWN", "MANIFEST_UNKNOWN")
    refused(registry.call("DELETE", f"/v2/delete/app/blobs/{digest(b'no')}"), 404, "BLOB_UNKNOWN")
    refused(registry.call("DELETE", "/v2/delete/app/blobs/uploads/unknown"), 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_is_deleted_in_one_repository_only(registry):
    data = b"in two repositories"
    for name in ("delete/one", "delete/two"):
        registry.push_blob(name, data)
    assert registry.call("DELETE", f"/v2/delete/one/blobs/{digest(data)}").status_code == 202
    assert registry.call("HEAD", f"/v2/delete/one/blobs/{digest(data)}").status_code == 404
    assert registry.call("GET", f"/v2/delete/two/blobs/{digest(data)}").content == data


# Errors.

@pytest.mark.parametrize("method,path,status", [
    ("POST", "/v2/", 405), ("PUT", "/v2/errors/app/tags/list", 405), ("PATCH", f"/v2/errors/app/blobs/{digest(b'')}", 405),
    ("GET", "/v2/errors/app/nothing", 404), ("GET", "/v2/errors/app/blobs/uploads/unknown", 404), ("GET", "/v2/_other/ext/x", 404)])
def test_errors_have_codes_of_the_specification(registry, method, path, status):
    reply = registry.call(method, path)
    refused(reply, status)
    assert status != 405 or reply.headers["Allow"]


def test_the_name_of_the_hash_is_not_only_a_word(registry):
    """sha512 content is checked as such, not as sha256 of the same bytes."""
    where = registry.start_upload("errors/app")
    wrong = "sha512:" + hashlib.sha512(b"other").hexdigest()
    refused(registry.call("PUT", where, params={"digest": wrong}, data=b"bytes"), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog", "/v2/_oci/ext/discover", "/v2/heads/app/_oci/ext/discover", "/v2/heads/app/tags/list",
                                  f"/v2/heads/app/referrers/{digest(b'x')}"])
def test_lists_have_heads(registry, path):
    registry.push("heads/app", "v1")
    get, head = registry.call("GET", path), registry.call("HEAD", path)
    assert get.status_code == head.status_code == 200 and head.content == b""
    assert {k: v for k, v in get.headers.items() if k != "Date"} == {k: v for k, v in head.headers.items() if k != "Date"}


def test_filters_are_bounded(registry):
    registry.push("heads/app", "v1")
    query = "&".join(f"artifactType=t{n}" for n in range(17))
    refused(registry.call("GET", f"/v2/heads/app/referrers/{digest(b'x')}?{query}"), 400)
    assert registry.call("GET", f"/v2/heads/app/referrers/{digest(b'x')}?{query[:-17]}").status_code == 200
