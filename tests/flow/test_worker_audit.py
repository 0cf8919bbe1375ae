# SPDX-License-Identifier: Apache-2.0
"""Who changed what, in a file: where the client came in, and where it was done; and through logrotate."""
import contextlib
import json
import signal

from test_worker_access import as_user, write_htpasswd
from test_worker_limits import by, pair
from worker_process import Worker, await_true, digest


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def told(path):
    return [(line["subject"], line["action"], line["object"], line["status"]) for line in lines(path)]


def await_told(path, expected):
    await_true(lambda: set(expected) <= set(told(path)), what=f"{expected} in {told(path)}")


def test_each_change_is_written_down(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    audit = tmp_path / "audit.log"
    rules = {"repositories": {"**": {"defaultPolicy": ["read", "create", "update"], "anonymousPolicy": ["read"]}}}
    with Worker(tmp_path, config={"http": {"auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}, "accessControl": rules},
                                  "log": {"audit": str(audit)}}) as worker:
        worker.session.auth = ("ann", "annsecret")
        worker.push("a/b", "v1")
        start = worker.start_upload("a/b")
        worker.call("PATCH", start, data=b"some")
        assert worker.call("DELETE", start).status_code == 204
        assert worker.call("DELETE", "/v2/a/b/manifests/v1").status_code == 403
        worker.call("GET", "/v2/a/b/manifests/v1")
        worker.session.auth = None
        assert worker.call("PUT", "/v2/a/b/manifests/v2", data=b"{}").status_code == 401
        path = start[len(worker.url):]
        await_told(audit, [("ann", "PUT", "/v2/a/b/manifests/v1", 201), ("ann", "POST", "/v2/a/b/blobs/uploads/", 202),
                           ("ann", "PATCH", path, 202), ("ann", "DELETE", path, 204)])
        # Neither reads nor what was refused.
        assert {line["action"] for line in lines(audit)} == {"POST", "PUT", "PATCH", "DELETE"}
        assert all(200 <= line["status"] < 300 for line in lines(audit))
        assert all(line["clientIP"] == "127.0.0.1" and line["time"].endswith("Z") for line in lines(audit))
        finished = [line["object"] for line in lines(audit) if line["action"] == "PUT" and "uploads" in line["object"]]
        assert any(f"digest={digest(b'{}')}".replace(":", "%3A") in text for text in finished)
        assert as_user("ann")["auth"] == ("ann", "annsecret") and "annsecret" not in audit.read_text()


def test_in_a_cluster_the_worker_that_the_client_reached_writes_it_and_so_does_the_owner(tmp_path):
    with contextlib.ExitStack() as stack:
        workers, names = pair(tmp_path, stack, {"trustedProxies": ["127.0.0.1"]}, {"audit": "{folder}/audit.log"})
        audits = [worker.folder / "audit.log" for worker in workers]
        for name in names:
            reply = workers[0].call("POST", f"/v2/{name}/blobs/uploads/?digest={digest(b'x')}", data=b"x", headers=by("198.51.100.1"))
            assert reply.status_code == 201
            assert workers[0].call("DELETE", f"/v2/{name}/blobs/{digest(b'x')}", headers=by("198.51.100.1")).status_code == 202
        # Counted when a request is over there, which its client need not have waited for.
        await_true(lambda: workers[1].counter("peer_requests_total") > 0, what="a request of a peer")
        await_true(lambda: len(lines(audits[0])) == 4, what="four lines")
        for worker in workers:
            worker.stop()
        assert len(lines(audits[0])) == 4
        # The owner's line says by whom it came: of the change that the first member sent on to it.
        sent_on, = lines(audits[1])
        assert (sent_on["action"], sent_on["peer"]) == ("DELETE", "member 1 of 2") and "/debian/" in sent_on["object"]
        assert {line["clientIP"] for line in lines(audits[0]) + [sent_on]} == {"198.51.100.1"}
        assert not any("peer" in line for line in lines(audits[0]))


def test_logrotate(tmp_path):
    with Worker(tmp_path, ZOT_LOG_AUDIT=tmp_path / "audit.log", ZOT_LOG_OUTPUT=tmp_path / "worker.log") as worker:
        worker.push_blob("a/b", b"one")
        await_true(lambda: len(lines(tmp_path / "audit.log")) == 2)
        (tmp_path / "audit.log").rename(tmp_path / "audit.1")
        (tmp_path / "worker.log").rename(tmp_path / "worker.1")
        worker.process.send_signal(signal.SIGHUP)
        await_true(lambda: (tmp_path / "audit.log").exists() and (tmp_path / "worker.log").exists(), what="new files")
        worker.push_blob("a/b", b"two")
        await_true(lambda: len(lines(tmp_path / "audit.log")) == 2)
        assert len(lines(tmp_path / "audit.1")) == 2
        await_true(lambda: "/blobs/uploads/" in (tmp_path / "worker.log").read_text())


def test_a_full_disk_is_told_once():
    with Worker(ZOT_LOG_AUDIT="/dev/full") as worker:
        for n in range(5):
            worker.push_blob("a/b", bytes([n]))
        await_true(lambda: worker.counter("audit_lost_total") == 10, what="the count")
        assert worker.text().count("audit.failed") == 1 and "No space left" in worker.text()
