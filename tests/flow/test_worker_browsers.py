# SPDX-License-Identifier: Apache-2.0
"""What a page in a user's browser can do with a worker, and what its answers are taken for."""
import pytest

from worker_process import Worker, digest

HTML = b"<!doctype html><script>alert(document.domain)</script>"


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
def test_a_page_of_another_site_changes_nothing(worker, headers):
    worker.push("app", "v1", b"a layer")
    upload = worker.start_upload("app")
    layer, simple = digest(b"a layer"), {"Content-Type": "text/plain", **headers}
    calls = [("POST", f"/v2/evil/blobs/uploads/?digest={digest(HTML)}", HTML), ("POST", f"/v2/evil/blobs/uploads/?mount={layer}&from=app", b""),
             ("POST", "/v2/evil/blobs/uploads/", b""), ("PATCH", upload, b"x"), ("PUT", f"{upload}?digest={layer}", b"a layer"),
             ("DELETE", upload, b""), ("PUT", "/v2/app/manifests/v2", b"{}"), ("DELETE", "/v2/app/manifests/v1", b""),
             ("DELETE", f"/v2/app/blobs/{layer}", b"")]
    for method, path, body in calls:
        reply = worker.call(method, path, data=body, headers=simple)
        assert reply.status_code == 403 and "another site" in reply.text, (method, path, reply.status_code, reply.text)
    assert worker.call("GET", "/v2/_catalog").json()["repositories"] == ["app"]
    assert worker.call("GET", upload).status_code == 204
    assert worker.call("GET", "/v2/app/manifests/v1", headers=headers).status_code == 200


def test_the_own_site_may_change_things(worker):
    own = {"Origin": worker.url}
    assert worker.call("POST", f"/v2/app/blobs/uploads/?digest={digest(HTML)}", data=HTML, headers=own).status_code == 201
    assert worker.call("DELETE", f"/v2/app/blobs/{digest(HTML)}", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 202


def test_a_blob_is_never_taken_for_a_page(worker):
    worker.push("app", "v1")
    worker.call("PUT", f"{worker.start_upload('app')}?digest={digest(HTML)}", data=HTML, headers={"Content-Type": "text/html"})
    for more in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=0-1,5-9"}, {"Accept": "text/html"}):
        reply = worker.call("GET", f"/v2/app/blobs/{digest(HTML)}", headers=more)
        assert reply.status_code in (200, 206) and reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Type"].startswith(("application/octet-stream", "multipart/byteranges")), reply.headers
    # An error may quote what was asked for.
    reply = worker.call("GET", "/v2/app/manifests/%3Cscript%3E")
    assert reply.headers["X-Content-Type-Options"] == "nosniff" and reply.headers["Content-Type"] == "application/json"


def test_the_setting_of_allowed_origins_is_taken_as_before(tmp_path):
    with Worker(config={"http": {"allowOrigin": "https://ui.example"}}) as worker:
        assert "http.allowOrigin" in worker.text()
        assert worker.call("GET", "/v2/", headers={"Origin": "https://ui.example"}).status_code == 200
