# SPDX-License-Identifier: Apache-2.0
"""extensions.scrub: what is rotten is found, never served, and whole again when somebody pushes it, or where there is a good copy."""
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import stat
import subprocess
import sys
import time

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "system"))

import s3_servers  # noqa: E402
from test_isolated import member  # noqa: E402
from test_worker_access import write_htpasswd  # noqa: E402
from test_worker_chores import ANN  # noqa: E402
from worker_process import BUILD, MANIFEST, Worker, await_true, digest, free_port  # noqa: E402

SOON = {"ZOT_SCRUB": "true", "ZOT_SCRUB_INTERVAL": "1s", "ZOT_SCRUB_RATE": "1GiB"}
OLD = time.time() - 3600


def scrub(worker, *options, **environment):
    return subprocess.run([BUILD / worker.program, "scrub", *options], capture_output=True, text=True, timeout=60,
                          env={**worker.environment, "ZOT_SCRUB_RATE": "1GiB", **environment})


def file_of(worker, name, data, algorithm="sha256"):
    return worker.folder / "store" / name / "blobs" / algorithm / digest(data, algorithm).partition(":")[2]


def settle(worker):
    """All that lies there was written long ago."""
    for path in (worker.folder / "store").glob("**/blobs/*/*"):
        os.utime(path, (OLD, OLD))


def rot(path, at=None):
    """One bit, as a disk would; nobody wrote it."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    with open(path, "r+b") as file:
        file.write(data)
    os.utime(path, (OLD, OLD))


def lines(worker, event):
    return [json.loads(line) for line in worker.text().splitlines() if f'"{event}"' in line]


def passes(worker):
    return worker.counter("scrub_passes_total")


def await_pass(worker):
    """One that begins from now on has ended."""
    begun = passes(worker)
    await_true(lambda: passes(worker) >= begun + 2, what="a pass")


def get(worker, name, data, kind="blobs", algorithm="sha256"):
    return worker.call("GET", f"/v2/{name}/{kind}/{digest(data, algorithm)}")


def is_aside(path):
    return bool(path.stat().st_mode & stat.S_ISVTX)


def push(worker, name, tag, seed):
    """An image with a config and a layer of its own; the layer may be larger than what is put lazily."""
    layer, config = random.Random(seed).randbytes(1000 if seed % 3 else 100000), b'{"config": %d}' % seed
    for data in (config, layer):
        worker.push_blob(name, data)
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                       "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
                       "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}]}).encode()
    reply = worker.call("PUT", f"/v2/{name}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST})
    assert reply.status_code == 201, reply.text
    return config, layer, body


def names_of(images):
    return {digest(data): (name, kind, data) for (name, _), (config, layer, body) in images.items()
            for kind, data in (("blobs", config), ("blobs", layer), ("manifests", body))}


def test_rot_in_a_hundred_places_is_found_and_not_served_and_a_push_heals_it():
    with Worker() as worker:
        images = {(f"r{n % 4}/app", f"v{n}"): push(worker, f"r{n % 4}/app", f"v{n}", n) for n in range(35)}
        worker.stop()
        settle(worker)
        names = names_of(images)
        rotten = random.Random(1).sample(sorted(names), 100)
        for one in rotten:
            rot(file_of(worker, names[one][0], names[one][2]))
        worker.environment.update(SOON)
        worker.start()
        await_true(lambda: passes(worker) >= 1, what="a pass")
        found = [(line["repository"], line["digest"]) for line in lines(worker, "scrub.found") if line["kind"] == "rotten"]
        assert sorted(found) == sorted((names[one][0], one) for one in rotten)
        assert worker.counter("scrub_set_aside_total") == 100 and 'zot_scrub_findings_total{kind="rotten"} 100\n' in worker.call("GET", "/metrics").text
        for one, (name, kind, data) in names.items():
            reply = worker.call("GET", f"/v2/{name}/{kind}/{one}")
            assert (reply.status_code == 404) if one in rotten else (reply.content == data), (kind, one, reply.status_code)
            assert worker.call("HEAD", f"/v2/{name}/{kind}/{one}").status_code == (404 if one in rotten else 200)
        await_pass(worker)
        assert len([line for line in lines(worker, "scrub.found") if line["kind"] == "rotten"]) == 100
        assert lines(worker, "scrub.done")[-1]["still_aside"] == 100
        for n, ((name, tag), _) in enumerate(images.items()):
            push(worker, name, tag, n)
        for one, (name, kind, data) in names.items():
            assert worker.call("GET", f"/v2/{name}/{kind}/{one}").content == data
        settle(worker)
        await_pass(worker)
        last = lines(worker, "scrub.done")[-1]
        assert last["found"] == last["still_aside"] == last["failed"] == 0 and last["blobs"] == len(names), last


def test_the_same_blob_of_another_repository_heals():
    """That of one that shares the file is as rotten."""
    large = random.Random(3).randbytes(200000)
    with Worker(ZOT_DEDUPE="false") as worker:
        for name in ("a", "b"):
            worker.push(name, "v1", large)
        worker.stop()
        settle(worker)
        rot(file_of(worker, "b", large))
        worker.environment.update(SOON)
        worker.start()
        await_true(lambda: lines(worker, "scrub.healed"), what="the end of the rot")
        line = lines(worker, "scrub.healed")[0]
        assert (line["repository"], line["digest"], line["from"]) == ("b", digest(large), "another repository")
        assert get(worker, "b", large).content == large and not is_aside(file_of(worker, "a", large))


def test_what_shares_its_bytes_is_rotten_in_each_and_one_push_heals_one():
    large = random.Random(3).randbytes(200000)
    with Worker() as worker:
        for name in ("a", "b"):
            worker.push(name, "v1", large)
        assert file_of(worker, "a", large).stat().st_ino == file_of(worker, "b", large).stat().st_ino
        worker.stop()
        settle(worker)
        rot(file_of(worker, "a", large))
        worker.environment.update(SOON)
        worker.start()
        await_true(lambda: passes(worker) >= 1, what="a pass")
        assert get(worker, "a", large).status_code == get(worker, "b", large).status_code == 404
        worker.push("b", "v1", large)
        await_pass(worker)
        assert get(worker, "b", large).content == get(worker, "a", large).content == large


def test_a_manifest_is_healed_from_memory():
    with Worker(**SOON) as worker:
        body = worker.push("app", "v1")
        assert worker.call("GET", "/v2/app/manifests/v1").content == body
        settle(worker)
        rot(file_of(worker, "app", body))
        await_true(lambda: lines(worker, "scrub.healed"), what="its healing")
        assert file_of(worker, "app", body).read_bytes() == body and lines(worker, "scrub.healed")[0]["from"] == "memory"


def test_what_is_missing_is_told_and_what_lies_there_right_is_taken_back():
    with Worker() as worker:
        body = worker.push("app", "v1", b"its layer")
        worker.push("app", "v2", b"another")
        data = b"of sha512"
        worker.push_blob("app", data, "sha512")
        worker.stop()
        settle(worker)
        file_of(worker, "app", b"its layer").unlink()
        good = file_of(worker, "app", data, "sha512")
        rot(good)
        done = scrub(worker)
        assert done.returncode == 1, done
        assert f"app {digest(b'its layer')} missing, left: manifest {digest(body)} names it, and it is not there\n" in done.stdout, done
        assert f"app {digest(data, 'sha512')} rotten, set aside: its bytes have another digest\n" in done.stdout and is_aside(good), done
        rot(good)
        assert scrub(worker).returncode == 1 and not is_aside(good)
        worker.start()
        assert get(worker, "app", data, algorithm="sha512").content == data


def test_an_index_that_cannot_be_read_is_told():
    with Worker() as worker:
        for name in ("app", "other"):
            worker.push(name, "v1")
        worker.stop()
        settle(worker)
        rot(worker.folder / "store/app/index.json", 0)
        done = scrub(worker)
        assert done.returncode == 1 and "app index index, left: " in done.stdout and "2 repositories" in done.stdout, done


def test_a_log_that_was_damaged_is_told_until_somebody_has_looked():
    with Worker() as worker:
        for n in range(3):
            worker.push("app", f"v{n}", b"layer %d" % n)
        worker.process.kill()
        worker.process.wait()
        settle(worker)
        log = worker.folder / "store/app/index.log"
        rot(log, log.stat().st_size // 2)
        for _ in range(2):
            done = scrub(worker)
            assert done.returncode == 1 and "app index index, left: a part of its log could not be read, and lies in index.log.cut-" in done.stdout, done
        for path in log.parent.glob("index.log.cut-*"):
            path.unlink()
        assert "0 indexes" in scrub(worker).stdout


def test_the_dry_run_changes_nothing_and_what_is_young_is_left():
    with Worker() as worker:
        worker.push("app", "v1", b"its layer")
        path = file_of(worker, "app", b"its layer")
        worker.stop()
        path.write_bytes(b"its LAYER")
        assert "0 rotten" in scrub(worker).stdout
        settle(worker)
        dry = scrub(worker, "--dry-run")
        assert dry.returncode == 1 and f"app {digest(b'its layer')} rotten, left" in dry.stdout and not is_aside(path), dry
        assert "rotten, set aside" in scrub(worker).stdout and is_aside(path)


def test_it_is_on_where_an_interval_is_set_and_off_where_nothing_is():
    with Worker() as worker:
        assert 'chore="scrub"' not in worker.call("GET", "/metrics").text
    with Worker(config={"extensions": {"scrub": {"interval": "24h"}}}) as worker:
        assert 'chore="scrub"' in worker.call("GET", "/metrics").text
    with Worker(config={"extensions": {"scrub": {"enable": False, "interval": "24h"}}}) as worker:
        assert 'chore="scrub"' not in worker.call("GET", "/metrics").text


def test_a_place_is_remembered_and_the_rate_is_held():
    """20 blobs of 256 KiB at 1 MiB a second: what was read before the kill is not read again but for what came since it was written down."""
    blobs = [random.Random(n).randbytes(1 << 18) for n in range(20)]
    with Worker() as worker:
        worker.push("app", "v1")
        for data in blobs:
            worker.push_blob("app", data)
        worker.stop()
        settle(worker)
        worker.environment.update(SOON, ZOT_SCRUB_INTERVAL="1h", ZOT_SCRUB_RATE="1MiB")
        begun = time.monotonic()
        worker.start()
        await_true(lambda: worker.counter("scrub_bytes_total") >= 2 << 20, what="two MiB")
        assert worker.counter("scrub_bytes_total") <= ((time.monotonic() - begun) + 1) * (1 << 20) + (1 << 20)
        worker.stop()
        notes = list((worker.folder / "store/_moves").glob("%2Escrub%2E*"))
        assert len(notes) == 1 and json.loads(notes[0].read_text())["place"]["repository"] == "app", notes
        worker.environment["ZOT_SCRUB_RATE"] = "1GiB"
        worker.start()
        await_true(lambda: passes(worker) == 1, what="the end of the pass")
        assert worker.counter("scrub_blobs_total") <= 23 - 7
        assert "place" not in json.loads(notes[0].read_text())
        worker.stop()
        worker.start()
        await_true(lambda: re.search(r'zot_chore_runs_total{chore="scrub"} ([3-9]|\d\d)', worker.call("GET", "/metrics").text), what="looks")
        assert passes(worker) == 0 and worker.counter("scrub_blobs_total") == 0


def ask(worker, action="start", **more):
    return worker.call("POST", "/zot/chores", json={"chore": "scrub", "action": action, **more}, auth=ANN)


def row(worker):
    reply = worker.call("GET", "/zot/chores", auth=ANN)
    assert reply.status_code == 200, reply.text
    return next(row for row in reply.json()["chores"] if row["name"] == "scrub")


def with_ann(worker):
    """All may push and pull, ann may drive chores."""
    write_htpasswd(worker.folder / "users")
    worker.environment["ZOT_HTPASSWD"] = str(worker.folder / "users")
    worker.session.auth = ANN


def test_a_pass_is_one_run_that_can_be_ended_and_tried_dry():
    blobs = [random.Random(n).randbytes(1 << 18) for n in range(20)]
    with Worker() as worker:
        worker.push("app", "v1")
        for data in blobs:
            worker.push_blob("app", data)
        worker.stop()
        settle(worker)
        bad = file_of(worker, "app", max(blobs, key=digest))  # to which it comes last
        rot(bad)
        with_ann(worker)
        worker.environment.update(SOON, ZOT_SCRUB_INTERVAL="24h", ZOT_SCRUB_RATE="256KiB")
        worker.start()
        # The first pass begins by itself; between its turns it runs, too.
        await_true(lambda: row(worker)["state"] == "running" and row(worker)["run"]["done"] > 0, what="a pass")
        assert all(row(worker)["state"] == "running" for _ in range(20))
        assert ask(worker).status_code == 409 and ask(worker, dryRun=True).status_code == 409
        assert ask(worker, "stop").status_code == 202
        await_true(lambda: row(worker).get("last", {}).get("how") == "stopped", what="the end")
        seen, looks = worker.counter("scrub_blobs_total"), lambda: int(re.search(r'zot_chore_runs_total{chore="scrub"} (\d+)', worker.call("GET", "/metrics").text)[1])
        begun = looks()
        await_true(lambda: looks() >= begun + 10, what="looks whether it is time")
        assert worker.counter("scrub_blobs_total") == seen and passes(worker) == 0 and row(worker)["state"] == "idle"
        assert ask(worker, "stop").status_code == 409
        # It does not go on with it after a restart either.
        worker.environment["ZOT_SCRUB_RATE"] = "1GiB"
        worker.stop()
        worker.start()
        await_true(lambda: ask(worker, dryRun=True).status_code == 202, what="it is taken")
        last = await_true(lambda: row(worker).get("last", {}).get("dryRun") and row(worker)["last"], what="the dry run")
        assert last["how"] == "done" and last["removed"] == 1 and last["done"] >= 20, last
        assert not is_aside(bad) and passes(worker) == 0 and worker.counter("scrub_blobs_total") == 0
        assert len(lines(worker, "scrub.found")) == 1
        assert ask(worker).status_code == 202
        await_true(lambda: passes(worker) == 1, what="a pass that was asked for")
        assert is_aside(bad) and row(worker)["last"].get("dryRun") is None


def test_a_place_that_is_none_begins_from_the_start():
    with Worker(**SOON) as worker:
        worker.push("app", "v1")
        await_true(lambda: passes(worker) >= 1, what="a pass")
        worker.stop()
        note, = (worker.folder / "store/_moves").glob("%2Escrub%2E*")
        for text in ("{", '{"begun":1,"place":{"repository":"../x"}}', '{"begun":1,"place":{"repository":"app","blob":"md5:1"}}', "x" * 100000):
            note.write_text(text)
            worker.start()
            await_true(lambda: passes(worker) >= 1 and worker.counter("scrub_blobs_total") >= 3, what="a pass")
            worker.stop()


def test_kills_in_the_middle_lose_nothing():
    """Pushes of the same blobs, and kills, while they are set aside: what was answered 201 is there, whole."""
    blobs = [random.Random(n).randbytes(3000) for n in range(60)]
    with Worker() as worker:
        worker.push("app", "v1")
        for data in blobs:
            worker.push_blob("app", data)
        worker.environment.update(SOON)
        chance = random.Random(4)
        for turn in range(4):
            worker.stop()
            settle(worker)
            for data in blobs:
                path = file_of(worker, "app", data)
                if path.read_bytes() == data:
                    rot(path)
            worker.start()
            acknowledged = [data for data in chance.sample(blobs, 20) if worker.push_blob("app", data)]
            if turn % 2:
                time.sleep(chance.random() / 20)
            worker.process.send_signal(signal.SIGKILL)
            worker.process.wait()
            worker.start()
            # The first may go on behind what was damaged since.
            await_true(lambda: passes(worker) >= 2, what="two passes")
            for data in blobs:
                reply = get(worker, "app", data)
                assert reply.content == data if data in acknowledged else reply.status_code == 404 or reply.content == data, turn
            assert get(worker, "app", b"layer").content == b"layer"


def test_pushes_that_go_on_meanwhile_keep_what_they_brought():
    """Each blob is rotten again and again, and pushed in the moment in which it is set aside."""
    data = random.Random(9).randbytes(5000)
    with Worker(**SOON) as worker:
        worker.push("app", "v1")
        for _ in range(4):
            worker.push_blob("app", data)
            path = file_of(worker, "app", data)
            rot(path)
            begun = passes(worker)
            while passes(worker) == begun:
                worker.push_blob("app", data)
                assert get(worker, "app", data).content == data
                os.utime(path, (OLD, OLD))


@pytest.mark.parametrize("wrong", [{"enable": "perhaps"}, {"interval": "often"}, {"rate": 1}])
def test_what_is_wrong_is_named(wrong):
    worker = Worker(config={"extensions": {"scrub": wrong}})
    worker.folder.mkdir(exist_ok=True)
    done = subprocess.run([BUILD / worker.program, "verify", str(worker.folder / "config.json")], env=worker.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"extensions.scrub.{list(wrong)[0]}" in done.stderr, done


# ---- other members ----

def test_a_member_that_had_the_repository_before_heals(tmp_path):
    """It grew from one to two, and the first keeps its copies for a while."""
    ports = [free_port(), free_port()]
    names = [f"grown/r{n}" for n in range(6)]
    with member(tmp_path, ports[:1], 0) as one:
        for name in names:
            one.push(name, "v1", name.encode() * 10)
    with member(tmp_path, ports, 0, **SOON) as one, member(tmp_path, ports, 1, **SOON) as two:
        await_true(lambda: "move.done" in two.text() and two.counter("moves_coming") == 0, what="what moves")
        name = next(name for name in names if (two.folder / "store" / name / "index.json").exists())
        data = name.encode() * 10
        path = file_of(two, name, data)
        await_true(path.exists, what="its blob")
        settle(two)
        rot(path)
        await_true(lambda: lines(two, "scrub.healed"), what="its healing")
        assert [(line["repository"], line["digest"], line["from"]) for line in lines(two, "scrub.healed")] == [(name, digest(data), "another member")]
        assert one.call("GET", f"/v2/{name}/blobs/{digest(data)}").content == data and path.read_bytes() == data


# ---- a bucket ----

@contextlib.contextmanager
def bucket():
    with s3_servers.start("moto") as server:
        yield server, {name: text for name, text in server.environment().items() if not name.startswith("ZOT_")}, server.client()


def key_of(name, data):
    return f"{name}/blobs/sha256/{digest(data).partition(':')[2]}"


def spoil(server, s3, name, data):
    s3.put_object(Bucket=server.bucket, Key=key_of(name, data), Body=data[:-1] + bytes([data[-1] ^ 1]))


def test_rot_in_a_bucket(tmp_path):
    with bucket() as (server, where, s3):
        with Worker(**where) as worker:
            images = {(f"r{n % 2}", f"v{n}"): push(worker, f"r{n % 2}", f"v{n}", n) for n in range(3)}
            other = push(worker, "other", "v0", 0)
        names = names_of(images)
        rotten = random.Random(2).sample(sorted(one for one in names if names[one][2] not in other), 4)
        for one in rotten:
            spoil(server, s3, names[one][0], names[one][2])
        spoil(server, s3, "r0", other[1])
        s3.put_object(Bucket=server.bucket, Key=key_of("other", other[0]), Body=other[0], ChecksumAlgorithm="SHA256")
        with Worker(ZOT_CACHE=tmp_path / "cache", **where, **SOON) as worker:
            await_true(lambda: passes(worker) >= 1, what="a pass")
            assert sorted(line["digest"] for line in lines(worker, "scrub.found") if line["kind"] == "rotten") == sorted(rotten)
            assert [(line["repository"], line["digest"], line["from"]) for line in lines(worker, "scrub.healed")] == [("r0", digest(other[1]), "another repository")]
            assert lines(worker, "scrub.done")[0]["by_checksum"] == 1, lines(worker, "scrub.done")
            for one, (name, kind, data) in names.items():
                for method, wanted in ("HEAD", b""), ("GET", data):
                    reply = worker.call(method, f"/v2/{name}/{kind}/{one}")
                    assert reply.status_code == 404 if one in rotten else reply.content == wanted, (method, kind, one, reply.status_code)
            one = next(one for one in rotten if names[one][1] == "blobs")
            assert worker.call("GET", f"/v2/{names[one][0]}/blobs/{one}", headers={"Range": "bytes=1-3"}).status_code == 404
            kept = {item["Key"] for item in s3.list_objects_v2(Bucket=server.bucket, Prefix="_aside/")["Contents"]}
            assert len(kept) == 5
            for n, ((name, tag), _) in enumerate(images.items()):
                push(worker, name, tag, n)
            for one, (name, kind, data) in names.items():
                assert worker.call("GET", f"/v2/{name}/{kind}/{one}").content == data
            await_pass(worker)
            last = lines(worker, "scrub.done")[-1]
            assert last["found"] == last["still_aside"] == last["failed"] == 0, last
            assert worker.call("GET", "/v2/_catalog").json()["repositories"] == ["other", "r0", "r1"]
            # What the cache has is put back from there.
            name, _, data = next(names[one] for one in names if names[one][1] == "blobs" and names[one][2] not in other)
            assert get(worker, name, data).content == data
            spoil(server, s3, name, data)
            await_true(lambda: any(line["from"] == "cache" for line in lines(worker, "scrub.healed")), what="its healing")
            assert s3.get_object(Bucket=server.bucket, Key=key_of(name, data))["Body"].read() == data
