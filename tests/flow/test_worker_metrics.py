# SPDX-License-Identifier: Apache-2.0
"""/metrics: the text is what Prometheus reads, the numbers are those of what was done, and who may read them."""
import os

import pytest

from figures import parse
from test_worker_access import PASSWORDS, as_user, write_htpasswd
from worker_process import Worker, await_true

def scrape(worker, path="/metrics", **more):
    reply = worker.call("GET", path, **more)
    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(reply.text)


def value(families, name, suffix="", **labels):
    return families[name].samples[suffix, tuple(sorted(labels.items()))]


def test_the_text_is_right_and_the_numbers_are_those_of_what_was_done(worker):
    body = worker.push("lib/app", "v1", layer=os.urandom(5000))
    for _ in range(3):
        assert worker.call("GET", "/v2/lib/app/manifests/v1").content == body
    assert worker.call("HEAD", "/v2/lib/app/manifests/v1").status_code == 200
    for n in range(2):
        assert worker.call("GET", f"/v2/lib/none{n}/manifests/v1").status_code == 404
    scrape(worker)
    now = scrape(worker)
    assert value(now, "zot_up") == 1 and len(now["zot_info"].samples) == 1
    assert value(now, "zot_http_requests_total", method="GET", code="404") == 2
    assert value(now, "zot_http_requests_total", method="GET", code="200") >= 4
    assert value(now, "zot_http_requests_total", method="PUT", code="201") == 3
    assert value(now, "zot_http_method_latency_seconds", "_count", method="HEAD") == 1
    assert value(now, "zot_http_operation_latency_seconds", "_count", operation="manifest_get") == 6
    assert value(now, "zot_http_operation_latency_seconds", "_count", operation="manifest_put") == 1
    assert value(now, "zot_repo_downloads_total", repo="lib/app") == 4
    assert value(now, "zot_repo_uploads_total", repo="lib/app") == 1
    latency = now["zot_http_repo_latency_seconds"].samples
    assert latency["_count", (("repo", "lib/app"),)] == 9 and 0 < latency["_sum", (("repo", "lib/app"),)] < 9
    # Names that nobody has are not remembered.
    assert not any("none" in str(labels) for labels in latency)
    assert value(now, "zot_index_hits_total") >= 3 and value(now, "zot_index_misses_total") >= 2
    assert value(now, "zot_connections_open") >= 1
    assert value(now, "zot_storage_lock_latency_seconds", "_count", storageName="default", lockType="RWLock") >= 1
    assert value(now, "zot_pool_wait_seconds", "_count") > 3
    assert value(now, "process_resident_memory_bytes") > 1e6 and value(now, "process_max_fds") >= 256
    assert value(now, "process_cpu_seconds_total") > 0

    def of_app(samples, name):
        return samples[name].samples if name in samples else None

    def files():
        return [p for p in (worker.folder / "store/lib/app").rglob("*") if p.is_file()]

    def is_weighed():
        # Of these the others are at one moment; a log that is folded meanwhile changes the bytes.
        sizes, samples = sum(p.stat().st_size for p in files()), scrape(worker)
        return samples if of_app(samples, "zot_repo_storage_bytes") == {("", (("repo", "lib/app"),)): sizes} else None

    weighed = await_true(is_weighed, 60, "sizes")
    blobs = sum("blobs" in p.parts for p in files())
    for name, count in (("zot_repo_blobs", blobs), ("zot_repo_manifests", 1), ("zot_repo_tags", 1)):
        assert of_app(weighed, name) == {("", (("repo", "lib/app"),)): count}, name
    assert [value(weighed, f"zot_storage_{name}") for name in ("repositories", "blobs", "manifests", "tags", "unread_repositories")] == [1, blobs, 1, 1, 0]


def test_repositories_are_bounded_and_the_busy_ones_stay():
    with Worker(ZOT_LOOPS=1, ZOT_LOG_LEVEL="warn") as worker:
        worker.push("busy/app", "v1")
        for _ in range(200):
            worker.call("GET", "/v2/busy/app/manifests/v1")
        for n in range(600):
            worker.call("POST", f"/v2/many/r{n}/blobs/uploads/")
        now = scrape(worker)
        counts = {labels: v for (suffix, labels), v in now["zot_http_repo_latency_seconds"].samples.items() if suffix == "_count"}
        assert len(counts) <= 129
        assert counts[("repo", "busy/app"),] == 205
        assert counts[("repo", "(others)"),] > 400
        assert sum(counts.values()) == 805


@pytest.fixture
def guarded(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")

    def make(**access):
        http = {"auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}}
        if access:
            http["accessControl"] = access
        return Worker(tmp_path, config={"http": http})
    return make


def statuses(worker):
    return {name: worker.call("GET", "/metrics", **as_user(name)).status_code for name in ("", *PASSWORDS)}


EVERYTHING = {"**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]}}


@pytest.mark.parametrize("access, allowed", [
    ({}, {"root", "ann", "bob", "eve"}),                                  # no rules: whoever logs in
    ({"repositories": EVERYTHING}, set()),                                # rules that do not name them: nobody
    ({"repositories": EVERYTHING, "metrics": {"users": ["ann"]}}, {"ann"}),
    ({"adminPolicy": {"users": ["root"], "actions": ["read"]}, "metrics": {"users": ["bob"]}}, {"bob"}),
    ({"metrics": {"users": ["ann"], "anonymousPolicy": ["read"]}}, {"", "ann"})])
def test_who_may_read_them(guarded, access, allowed):
    with guarded(**access) as worker:
        assert statuses(worker) == {name: 200 if name in allowed else 403 if name else 401 for name in ("", *PASSWORDS)}
        assert worker.call("GET", "/readyz").status_code == 200
        assert worker.call("GET", "/metrics", auth=("ann", "wrong")).status_code == 401
        assert "WWW-Authenticate" in worker.call("GET", "/metrics", auth=("ann", "wrong")).headers


def test_the_path_and_the_switch_of_zots_file_are_obeyed(tmp_path):
    (tmp_path / "a").mkdir()
    with Worker(tmp_path / "a", config={"extensions": {"metrics": {"enable": True, "prometheus": {"path": "/status/metrics"}}}}) as worker:
        scrape(worker, "/status/metrics")
        assert worker.call("GET", "/metrics").status_code == 404
        assert worker.call("POST", "/status/metrics").status_code == 405
    (tmp_path / "b").mkdir()
    with Worker(tmp_path / "b", config={"extensions": {"metrics": {"enable": False}}}) as worker:
        assert worker.call("GET", "/metrics").status_code == 404


@pytest.mark.parametrize("path", ["metrics", "/", "/v2", "/v2/x", "/a/../b", "/a//b", "/a/", "/readyz", "/a?b"])
def test_a_path_that_cannot_be_is_refused(path):
    worker = Worker(ZOT_METRICS_PATH=path)
    with pytest.raises(AssertionError, match="extensions.metrics.prometheus.path.*must be a plain path"):
        worker.start()
    assert worker.process.wait(10) == 1
