# SPDX-License-Identifier: Apache-2.0
"""extensions.events: who is told of changes is told of each, in order, however receivers and this process fail."""
import base64
import binascii
import contextlib
import json
import os
import re
import ssl
import subprocess
import threading
import time

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from event_sinks import HttpSink, NatsSink, basic
from figures import make_certificate
from worker_process import BUILD, CLUSTER_SECRET, MANIFEST, Worker, await_true, digest, free_port, image

KILLS = 40 if os.environ.get("SCALE") == "full" else 4


def sink_of(server, **more):
    kind = "nats" if isinstance(server, NatsSink) else "http"
    return {"type": kind, "address": server.url, **({"channel": "registry.events"} if kind == "nats" else {}), **more}


def events_worker(*sinks, **more):
    listed = [sink if isinstance(sink, dict) else sink_of(sink) for sink in sinks]
    return Worker(ZOT_EVENTS="true", ZOT_EVENTS_SINKS=json.dumps(listed), **more)


def figure(worker, name, sink="0-http"):
    text = worker.session.get(worker.url + "/metrics").text
    return float(re.search(rf'^zot_events_{name}{{sink="{sink}"}} (\S+)$', text, re.M).group(1))


def put(worker, name, body, reference, **more):
    return worker.call("PUT", f"/v2/{name}/manifests/{reference}", data=body, headers={"Content-Type": MANIFEST}, **more)


def push_tags(worker, name, tags):
    worker.push_blob(name, b"{}")
    worker.push_blob(name, b"layer")
    for tag in tags:
        assert put(worker, name, image(b"layer", annotations={"tag": tag}), tag).status_code == 201


def test_what_is_told_and_how():
    with HttpSink() as sink, events_worker(sink_of(sink, channel="my \"channel\"", headers={"X-Team": "a b"},
                                                   credentials={"username": "ann", "password": "secret"})) as worker:
        body = worker.push("team/app", "v1")
        of = digest(body)
        sink.await_events(2)
        line, heads, raw = sink.heads[1]
        assert line == "POST /hook HTTP/1.1"
        assert heads["ce-specversion"] == "1.0" and heads["ce-source"] == "zotregistry.dev" and heads["content-type"] == "application/json"
        assert heads["ce-type"] == "zotregistry.image.updated" and heads["ce-channel"] == "my%20%22channel%22"
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", heads["ce-id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", heads["ce-time"])
        assert heads["x-team"] == "a b" and heads["authorization"] == basic("ann", "secret")
        agent = worker.session.headers["User-Agent"]
        assert json.loads(raw) == {"name": "team/app", "reference": "v1", "digest": of, "mediaType": MANIFEST, "manifest": body.decode(),
                                   "request": {"addr": "127.0.0.1", "method": "PUT", "useragent": agent}}
        assert sink.events[0]["type"] == "zotregistry.repository.created" and sink.events[0]["data"]["name"] == "team/app"
        # The same again changes nothing; by its digest with two tags: one event for each tag that is new.
        assert put(worker, "team/app", body, "v1").status_code == 201
        assert put(worker, "team/app", body, of + "?tag=v1&tag=v2&tag=v3").status_code == 201
        other = image(b"layer", annotations={"other": "one"})
        assert put(worker, "team/app", other, digest(other)).status_code == 201
        assert worker.call("DELETE", "/v2/team/app/manifests/v2").status_code == 202
        assert worker.call("DELETE", f"/v2/team/app/manifests/{of}").status_code == 202
        sink.await_events(9)
        assert sink.references("team/app") == [("created", None), ("updated", "v1"), ("updated", "v2"), ("updated", "v3"),
                                               ("updated", digest(other)), ("deleted", "v2"), ("deleted", "v1"), ("deleted", "v3"), ("deleted", of)]
        gone = sink.of()[5]["data"]
        assert gone["digest"] == of and gone["mediaType"] == MANIFEST and "manifest" not in gone and gone["request"]["method"] == "DELETE"
        assert figure(worker, "sent_total") == 9 and figure(worker, "queued") == 0 and figure(worker, "dropped_total") == 0
        assert "secret" not in worker.text()


def test_who_did_it_and_other_names(tmp_path):
    (tmp_path / "htpasswd").write_text(subprocess.run(["htpasswd", "-nbB", "ann", "pw"], stdout=subprocess.PIPE, check=True, text=True).stdout)
    with HttpSink() as sink, events_worker(sink, ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_EVENTS_SOURCE="urn:acme",
                                           ZOT_EVENTS_TYPE_PREFIX="com.acme") as worker:
        worker.session.auth = ("ann", "pw")
        worker.push("a/b", "v1")
        sink.await_events(2)
        assert sink.of()[1]["data"]["actor"] == {"name": "ann"}
        assert sink.of()[1]["source"] == "urn:acme" and sink.of()[1]["type"] == "com.acme.image.updated"


def test_again_until_it_takes_them():
    answers = {}

    def answer(event):
        key = event["id"]
        answers[key] = answers.get(key, 0) + 1
        if event["data"].get("reference") == "bad":
            return 400
        return [503, (429, {"Retry-After": "1"}), 408, 200][min(answers[key], 4) - 1] if event["data"].get("reference") == "v1" else 200

    with HttpSink(answer) as sink, events_worker(sink_of(sink, address=sink.url + "?key=hidden")) as worker:
        push_tags(worker, "a/b", ["v1", "bad", "v2"])
        worker.push("other/one", "x")  # not held by the one that is refused
        sink.await_events(2, "other/one")
        sink.await_events(3, "a/b")
        assert sink.references("a/b") == [("created", None), ("updated", "v1"), ("updated", "v2")]
        tries = [at for at, event in sink.tries if event["data"].get("reference") == "v1"]
        assert len(tries) == 4 and len({event["id"] for _, event in sink.tries if event["data"].get("reference") == "v1"}) == 1
        assert tries[2] - tries[1] >= 1, "Retry-After is obeyed"
        assert len([1 for _, event in sink.tries if event["data"].get("reference") == "bad"]) == 1
        assert figure(worker, "dropped_total") == 1 and figure(worker, "failed_total") >= 4
        assert "events.dropped" in worker.text() and f'"address":"{sink.url[:-5]}"' in worker.text()
        assert sink.heads[0][0] == "POST /hook?key=hidden HTTP/1.1" and "hidden" not in worker.text() and "/hook" not in worker.text()


def test_a_sink_that_is_away_or_slow_holds_nobody():
    with HttpSink() as good, HttpSink(lambda event: None) as slow, HttpSink() as dead:
        dead.down()
        with events_worker(sink_of(good), sink_of(slow, timeout="10m"), sink_of(dead)) as worker:
            push_tags(worker, "a/b", [f"v{i}" for i in range(20)])
            good.await_events(21)
            assert good.references("a/b")[1:] == [("updated", f"v{i}") for i in range(20)]
            assert figure(worker, "queued", "1-http") == 21 and figure(worker, "queued", "2-http") == 21
            assert figure(worker, "oldest_seconds", "2-http") > 0 and figure(worker, "oldest_seconds", "0-http") == 0
            dead.up()
            dead.await_events(21)
            assert dead.references("a/b") == good.references("a/b")
            assert [event["id"] for event in good.of()] == [event["id"] for event in dead.of()]
            # It ends, whatever hangs: the slow one has not been answered, and would not be for minutes.
            worker.stop()
            assert not slow.of()


def test_the_queue_outlives_the_process():
    with HttpSink() as sink:
        sink.down()
        with events_worker(sink) as worker:
            push_tags(worker, "a/b", ["v1", "v2"])
            worker.stop()
            worker.start()
            push_tags(worker, "a/b", ["v3"])
            worker.kill()
            # Half of a frame, as a power cut leaves it.
            newest = max((worker.folder / "data/events").glob("*.events"))
            with open(newest, "ab") as file:
                file.write(b"\x40\x00\x00\x00half")
            worker.start()
            push_tags(worker, "a/b", ["v4"])
            sink.up()
            sink.await_events(5)
            assert sink.references("a/b") == [("created", None)] + [("updated", f"v{i}") for i in range(1, 5)]
            assert "events.queue" in worker.text() and list((worker.folder / "data/events").glob("*.damaged-*"))
            await_true(lambda: figure(worker, "queued") == 0, what="an empty queue")


class Pusher(threading.Thread):
    """Pushes tags into a repository; what was acknowledged is kept. A push without an answer is sent again, as clients do."""

    def __init__(self, url, number):
        super().__init__()
        self.url, self.name, self.halt, self.acknowledged = url, f"kill/app{number}", threading.Event(), []

    def run(self):
        session, n = requests.Session(), 0
        while not self.halt.is_set():
            n += 1
            body = image(b"layer", annotations={"n": f"{self.name} {n}"})
            for _ in range(100):
                try:
                    if session.put(f"{self.url}/v2/{self.name}/manifests/t{n}", data=body, headers={"Content-Type": MANIFEST}, timeout=30).status_code == 201:
                        self.acknowledged.append((f"t{n}", digest(body)))
                        break
                except requests.RequestException:
                    pass
                if self.halt.wait(0.1):
                    return


def test_kill_9_loses_none():
    """What a client was told that it is there is told, in order, also where only a second try of the client was answered."""
    with HttpSink() as sink:
        sink.down()
        with events_worker(sink) as worker:
            pushers = [Pusher(worker.url, n) for n in range(3)]
            for pusher in pushers:
                worker.push_blob(pusher.name, b"{}")
                worker.push_blob(pusher.name, b"layer")
                pusher.start()
            for n in range(KILLS):
                have = sum(len(pusher.acknowledged) for pusher in pushers)
                await_true(lambda: sum(len(pusher.acknowledged) for pusher in pushers) >= have + 12, what="pushes")
                worker.kill()
                worker.start()
                if n == KILLS // 2:
                    sink.up()
            for pusher in pushers:
                pusher.halt.set()
            for pusher in pushers:
                pusher.join()
            await_true(lambda: figure(worker, "queued") == 0, 60, what="an empty queue")
            for pusher in pushers:
                told = {(event["data"]["reference"], event["data"]["digest"]) for event in sink.of(pusher.name) if event["type"].endswith("updated")}
                assert set(pusher.acknowledged) <= told, sorted(set(pusher.acknowledged) - told)
                numbers = [int(reference[1:]) for kind, reference in sink.references(pusher.name) if kind == "updated"]
                assert numbers == sorted(numbers)
                assert sink.references(pusher.name)[0] == ("created", None)
            assert figure(worker, "dropped_total") == 0


def test_a_full_queue_drops_the_oldest_and_refuses_nobody():
    with HttpSink() as sink:
        sink.down()
        with events_worker(sink, ZOT_EVENTS_QUEUE="64KiB") as worker:
            push_tags(worker, "a/b", [f"v{i}" for i in range(400)])
            dropped = figure(worker, "dropped_total")
            assert dropped > 50 and worker.text().count("events.full") == 1
            files = list((worker.folder / "data/events").glob("*.events"))
            assert sum(file.stat().st_size for file in files) <= 64 * 1024
            sink.up()
            await_true(lambda: figure(worker, "queued") == 0, what="an empty queue")
            told = sink.references("a/b")
            assert len(told) == 401 - dropped and told == [("updated", f"v{i}") for i in range(int(dropped) - 1, 400)]


def test_nats():
    with NatsSink() as sink, events_worker(sink) as worker:
        body = worker.push("a/b", "v1")
        sink.await_events(2)
        subject, heads, event = sink.messages[1]
        assert subject == "registry.events" and event["specversion"] == "1.0" and event["datacontenttype"] == "application/json"
        assert event["type"] == "zotregistry.image.updated" and event["data"]["manifest"] == body.decode() and "channel" not in event
        assert heads == f"NATS/1.0\r\nContent-Type: application/cloudevents+json\r\nNats-Msg-Id: {event['id']}\r\n\r\n"
        assert sink.connects[0]["headers"] and not sink.connects[0]["verbose"]
        # It goes away and comes back: nothing is lost.
        sink.down()
        push_tags(worker, "a/b", ["v2", "v3"])
        await_true(lambda: figure(worker, "failed_total", "0-nats") > 0, what="a failed try")
        sink.up()
        sink.await_events(4)
        assert sink.references("a/b")[1:] == [("updated", f"v{i}") for i in range(1, 4)]


def test_nats_limits_and_refusals():
    with NatsSink({"max_payload": 900, "headers": False}, lambda subject: None) as small, \
            NatsSink(refuse=lambda subject: 'Permissions Violation for Publish to "registry.events"') as closed:
        with events_worker(small, closed) as worker:
            worker.push("a/b", "v1", annotations={"large": "x" * 1000})
            small.await_events(2)
            assert "manifest" not in small.messages[1][2]["data"] and small.messages[1][1] == ""
            await_true(lambda: figure(worker, "dropped_total", "1-nats") == 2, what="two that were refused")
            assert figure(worker, "queued", "1-nats") == 0 and len(closed.connects) == 1


def test_nats_logins(tmp_path):
    seed = os.urandom(32)
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    raw = bytes([18 << 3 | 20 >> 2, (20 << 3) & 31]) + seed  # "S", and "U" behind it
    text = base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")
    assert text.startswith("SU")
    (tmp_path / "user.creds").write_text(f"-----BEGIN NATS USER JWT-----\nhead.body.sum\n------END NATS USER JWT------\n\nIt is a secret.\n"
                                         f"-----BEGIN USER NKEY SEED-----\n{text}\n------END USER NKEY SEED------\n")

    def signed(connect):
        sig = connect["sig"]
        key.verify(base64.urlsafe_b64decode(sig + "=" * (-len(sig) % 4)), b"nonce of the server")
        return None if connect["jwt"] == "head.body.sum" else "Authorization Violation"

    with NatsSink(login=lambda c: None if (c["user"], c["pass"]) == ("ann", "pw") else "Authorization Violation") as by_user, \
            NatsSink(login=lambda c: None if c["auth_token"] == "token" else "Authorization Violation") as by_token, \
            NatsSink({"nonce": "nonce of the server"}, login=signed) as by_key, NatsSink(login=lambda c: "Authorization Violation") as closed:
        with events_worker(sink_of(by_user, username="ann", password="pw"), sink_of(by_token, credentials={"token": "token"}),
                           sink_of(by_key, credentials={"file": str(tmp_path / "user.creds")}), sink_of(closed)) as worker:
            worker.push("a/b", "v1")
            for sink in (by_user, by_token, by_key):
                sink.await_events(2)
            await_true(lambda: "Authorization Violation" in worker.text(), what="a line of the log")
            assert figure(worker, "queued", "3-nats") == 2 and text not in worker.text()


def test_settings_are_checked(tmp_path):
    def verify(sinks, status=1, **more):
        environment = {"ZOT_STORAGE_ROOT": str(tmp_path / "store"), "ZOT_WORKER_DATA": str(tmp_path / "data"), "ZOT_EVENTS": "true",
                       "ZOT_EVENTS_SINKS": sinks if isinstance(sinks, str) else json.dumps(sinks), **more}
        done = subprocess.run([BUILD / "worker/zot-worker", "verify"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert (done.returncode != 0) == bool(status), done.stdout
        return done.stdout

    for sink, why in [
            ({"type": "kafka", "address": "x"}, "[0].type: must be"), ({"type": "http"}, "address: is missing"),
            ({"type": "http", "address": "http://ann:pw@host/"}, "address: must be a URL"), ({"type": "nats", "address": "nats://h"}, "channel: is the subject"),
            ({"type": "nats", "address": "nats://h:1,nats://i:1", "channel": "a"}, "address: must be one server"),
            ({"type": "nats", "address": "nats://h", "channel": "a.*"}, "channel: is the subject"),
            ({"type": "http", "address": "http://h", "adress": 1}, 'did you mean "address"?'), ({"type": "http", "address": "http://h", "timeout": "x"}, "timeout"),
            ({"type": "http", "address": "http://h", "username": "a", "token": "b"}, "exclude each other"),
            ({"type": "http", "address": "http://h", "headers": {"ce-id": "1"}}, "said by the registry"),
            ({"type": "http", "address": "http://h", "headers": {"X": "a\nb"}}, "may not be a header"),
            ({"type": "http", "address": "https://h", "cacertfile": "/none"}, "cacertfile"),
            ({"type": "nats", "address": "nats://h", "channel": "a", "file": __file__}, "NATS USER JWT")]:
        assert why in verify([sink]), sink
    assert "at most 16" in verify([{"type": "http", "address": f"http://h/{i}"} for i in range(17)])
    assert "once more" in verify([{"type": "http", "address": "http://h"}] * 2)
    assert "hidden" not in verify('[{"type": "http", "address": "http://h", "password": "hidden", "tokn": "hidden"}]')
    (tmp_path / "token").write_text("of a file\n")
    verify([{"type": "http", "address": "http://h", "token": f"file://{tmp_path}/token"}], 0)
    assert "nobody is told" in verify([], 0)


def threads_of(worker):
    """Names of those that are for events."""
    names = set()
    for task in os.listdir(f"/proc/{worker.process.pid}/task"):
        with contextlib.suppress(FileNotFoundError):  # one of the pool has ended
            names.add(open(f"/proc/{worker.process.pid}/task/{task}/comm").read().strip())
    return {name for name in names if "event" in name}


def test_off_costs_nothing():
    sinks = '[{"type": "http", "address": "http://127.0.0.1:1/"}]'
    with Worker(ZOT_EVENTS="true", ZOT_EVENTS_SINKS=sinks) as worker:
        await_true(lambda: threads_of(worker) == {"events", "events-sync"}, what="threads of events")
        assert (worker.folder / "data/events").exists()
    with Worker(ZOT_EVENTS_SINKS=sinks) as worker:
        worker.push("a/b", "v1")
        assert not (worker.folder / "data/events").exists()
        assert not threads_of(worker)
        assert "zot_events_" not in worker.session.get(worker.url + "/metrics").text


def test_lint_tells_what_it_refuses():
    """As zot: with the manifest, which is nowhere else. Nothing comes of other refusals."""
    with HttpSink() as sink, events_worker(sink, ZOT_LINT_ANNOTATIONS="org.example.vendor") as worker:
        worker.push_blob("a/b", b"{}")
        worker.push_blob("a/b", b"layer")
        refused, large = image(b"layer"), image(b"layer", annotations={"large": "x" * 20000})
        assert put(worker, "a/b", b"{", "v0").status_code == 400
        assert put(worker, "a/b", refused, "v1").status_code == 400
        assert put(worker, "a/b", refused, digest(refused)).status_code == 400
        assert put(worker, "a/b", large, "v2").status_code == 400
        assert put(worker, "a/b", image(b"layer", annotations={"org.example.vendor": "x"}), "v3").status_code == 201
        sink.await_events(5)
        assert sink.references("a/b") == [("lint_failed", "v1"), ("lint_failed", digest(refused)), ("lint_failed", "v2"), ("created", None), ("updated", "v3")]
        first, _, third = (event["data"] for event in sink.of()[:3])
        assert first == {"name": "a/b", "reference": "v1", "digest": digest(refused), "mediaType": MANIFEST, "manifest": refused.decode(),
                         "request": {"addr": "127.0.0.1", "method": "PUT", "useragent": worker.session.headers["User-Agent"]}}
        assert third["digest"] == digest(large) and "manifest" not in third
        assert sink.of()[0]["type"] == "zotregistry.image.lint_failed"


def test_retention_tells_what_it_removes():
    """zot's JSON, with the keys of a login beside the others; zot tells nobody of what retention removes."""
    with HttpSink() as sink:
        config = {"storage": {"retention": {"policies": [{"repositories": ["**"], "keepTags": [{"patterns": ["^v"]}]}]}},
                  "extensions": {"events": {"enable": True, "sinks": [sink_of(sink, timeout="5s", username="ann", password="${PASSWORD_OF_IT}")]}}}
        with Worker(config=config, ZOT_GC_INTERVAL="1s", PASSWORD_OF_IT="pw") as worker:
            worker.push_blob("a/b", b"{}")
            worker.push_blob("a/b", b"layer")
            for tag in ("v1", "dev"):
                assert put(worker, "a/b", image(b"layer", annotations={"tag": tag}), tag).status_code == 201
            gone = digest(image(b"layer", annotations={"tag": "dev"}))
            sink.await_events(5)
            assert sink.references("a/b")[3:] == [("deleted", "dev"), ("deleted", gone)]
            assert "actor" not in sink.of()[3]["data"] and "request" not in sink.of()[3]["data"]
            assert sink.heads[0][1]["authorization"] == basic("ann", "pw")


def test_each_change_of_a_cluster_is_told_once_by_who_commits_it(tmp_path):
    """Two members on one folder, both with the sink: who was asked sends the push on to the owner, who tells it, with the client's own address."""
    ports = [free_port(), free_port()]
    cluster = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": "0123456789abcdef", "isolated": False}
    with HttpSink() as sink, contextlib.ExitStack() as stack:
        workers = []
        for port in ports:
            folder = tmp_path / str(port)
            folder.mkdir()
            config = {"storage": {"rootDirectory": str(tmp_path / "store")}, "cluster": cluster,
                      "extensions": {"events": {"enable": True, "sinks": [sink_of(sink)]}}}
            workers.append(Worker(folder=folder, port=port, config=config, ZOT_CLUSTER_SECRET=CLUSTER_SECRET))
            stack.enter_context(workers[-1])
        names = [f"team/app{n}" for n in range(8)]
        for name in names:
            workers[0].push(name, "v1", annotations={"of": name})
        sink.await_events(16)
        await_true(lambda: sum(figure(worker, "queued") for worker in workers) == 0, what="empty queues")
        assert len(sink.of()) == 16 and all(sink.references(name) == [("created", None), ("updated", "v1")] for name in names)
        assert {event["data"]["request"]["addr"] for event in sink.of()} == {"127.0.0.1"}
        assert {event["data"]["request"]["useragent"] for event in sink.of()} == {workers[0].session.headers["User-Agent"]}
        assert all(figure(worker, "sent_total") > 0 for worker in workers), "both own some"


def test_tls_and_proxy(tmp_path):
    _, cert = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, str(tmp_path / "key.pem"))
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    own = {"cacertfile": cert, "certfile": cert, "keyfile": str(tmp_path / "key.pem")}
    with HttpSink(tls=context) as http, NatsSink(tls=context) as nats, HttpSink() as proxy, HttpSink(tls=context) as stranger, NatsSink(tls=context) as other:
        with events_worker(sink_of(http, tlsconfig=own), sink_of(nats, **own), {"type": "http", "address": "http://a.example/hook", "proxy": proxy.url[:-5]},
                           sink_of(stranger, certfile=cert, keyfile=own["keyfile"]), sink_of(other)) as worker:
            worker.push("a/b", "v1")
            for sink in (http, nats, proxy):
                sink.await_events(2)
            assert proxy.heads[0][0] == "POST http://a.example/hook HTTP/1.1" and proxy.heads[0][1]["host"] == "a.example"
            assert nats.connects[0]["tls_required"]
            # Whose certificate nobody vouches for is told nothing.
            await_true(lambda: figure(worker, "failed_total", "3-http") and figure(worker, "failed_total", "4-nats"), what="two that failed")
            assert not stranger.of() and not other.of() and not other.connects
