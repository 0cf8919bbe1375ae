# SPDX-License-Identifier: Apache-2.0
"""That the faulty proxy does what it says, and that the bucket in memory is as strict as it says."""
import concurrent.futures
import datetime
import threading

import pytest
import requests

from s3_faults import Faults
from s3_memory import Memory


@pytest.fixture
def memory():
    return Memory(delay_s=0.05)


@pytest.fixture
def faults(memory):
    with Faults(memory, seed=3, harms=lambda method, key: key.startswith("lib/"), late_s=(0.05, 0.2), silent_s=0.2) as proxy:
        yield proxy


def call(faults, method, key, **more):
    """The answer, or None where there was none."""
    try:
        return requests.request(method, f"{faults.endpoint}/zot/{key}", timeout=20, **more)
    except requests.RequestException:
        return None


def put(faults, key, body=b"x", **headers):
    reply = call(faults, "PUT", key, data=body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return reply.status_code if reply is not None else None


@pytest.mark.parametrize("kind,status,times", [
    ("503", 503, 0), ("500", 500, 0), ("other clock", 403, 0), ("500 after", 500, 1), ("cut", None, 1), ("silent", None, 1), ("twice", 200, 2), ("twice first", 200, 2)])
def test_what_becomes_of_a_write(faults, memory, kind, status, times):
    forwarded = []
    write = memory.write
    memory.write = lambda request: forwarded.append(request.key) or write(request)
    faults.rates = {kind: 1}
    assert put(faults, "lib/a") == status
    assert forwarded == ["lib/a"] * times and faults.counts[kind] == 1
    faults.rates = {}
    assert call(faults, "GET", "lib/a").status_code == (200 if times else 404)


def test_only_what_may_be_harmed_is(faults):
    faults.rates = {"503": 1}
    assert (put(faults, "lib/a"), put(faults, "_catalog/a")) == (503, 200)
    assert call(faults, "GET", "?list-type=2&prefix=lib/").status_code == 503
    assert call(faults, "GET", "?list-type=2&prefix=_catalog/").status_code == 200


def test_a_request_arrives_late(faults, memory):
    faults.rates = {"late": 1}
    assert put(faults, "lib/a") is None
    faults.rates = {}
    faults.drain()
    assert memory.objects["lib/a"] and faults.counts["late PUT answered 200"] == 1


def test_a_rule_waits_for_its_event(faults, memory):
    release = threading.Event()
    rule = faults.once("late", "^PUT lib/a", hold=release)
    assert put(faults, "lib/a") is None and put(faults, "lib/b") == 200
    assert rule.met.is_set() and "lib/a" not in memory.objects
    release.set()
    assert rule.arrived.wait(20) and "lib/a" in memory.objects


def test_bodies_that_are_cut_or_slow(faults):
    body = bytes(range(256)) * 16
    put(faults, "lib/a", body)
    faults.rates = {"truncated": 1}
    assert call(faults, "GET", "lib/a") is None
    faults.rates = {"slow": 1}
    assert call(faults, "GET", "lib/a").content == body


def test_a_list_lags(faults):
    faults.rates = {"old list": 1e-9}  # lists are remembered
    put(faults, "lib/a")
    assert "lib/a" in call(faults, "GET", "?list-type=2&prefix=lib/").text
    put(faults, "lib/b")
    faults.rates = {"old list": 1}
    assert "lib/b" not in call(faults, "GET", "?list-type=2&prefix=lib/").text
    faults.rates = {}
    assert "lib/b" in call(faults, "GET", "?list-type=2&prefix=lib/").text


def test_a_presigned_request_that_is_over_is_refused(faults, memory):
    put(faults, "lib/a")

    def remove(age_s):
        signed = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age_s)).strftime("%Y%m%dT%H%M%SZ")
        return call(faults, "DELETE", f"lib/a?X-Amz-Date={signed}&X-Amz-Expires=20").status_code

    assert (remove(60), "lib/a" in memory.objects) == (403, True)
    assert (remove(0), "lib/a" in memory.objects) == (204, False)


def test_keys_that_were_revoked(faults, memory):
    def get(key):
        return call(faults, "GET", "lib/a", headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host"})

    put(faults, "lib/a")
    assert get("OLD").status_code == 200
    faults.revoke()
    assert get("OLD").status_code == 400 and "ExpiredToken" in get("OLD").text and get("NEW").status_code == 200


def test_the_seed_decides():
    def kinds(seed):
        with Faults(Memory(), seed=seed, rates={"503": 0.3, "500": 0.3}) as faults:
            return [put(faults, "lib/a") for _ in range(40)]

    assert kinds(1) == kinds(1) != kinds(2)


def test_conditions_in_memory(faults):
    assert put(faults, "k", b"1", If_None_Match="*") == 200
    assert put(faults, "k", b"1", If_None_Match="*") == 412
    etag = call(faults, "HEAD", "k").headers["ETag"]
    assert put(faults, "k", b"2", If_Match=etag.strip('"')) == 412, "without quotes it is another one"
    assert put(faults, "k", b"2", If_Match=etag) == 200
    assert put(faults, "k", b"3", If_Match=etag) == 412
    assert put(faults, "absent", b"3", If_Match=etag) == 404
    assert put(faults, "k", b"3", x_amz_content_sha256="0" * 64) == 400
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda n: put(faults, "race", b"%d" % n, If_None_Match="*"), range(8)))
    assert statuses[0] == 200 and set(statuses[1:]) <= {409, 412} and 409 in statuses


def test_lists_in_memory(faults):
    for key in ("a/1", "a/2", "a/b/3", "a/b/4", "a/c", "b"):
        put(faults, key)
    found, token = [], ""
    while True:
        text = call(faults, "GET", f"?list-type=2&prefix=a/&delimiter=/&max-keys=1{token}").text
        found.append(text.partition("<Key>")[2].partition("<")[0] or text.partition("<CommonPrefixes><Prefix>")[2].partition("<")[0])
        if "<IsTruncated>false" in text:
            break
        token = "&continuation-token=" + text.partition("<NextContinuationToken>")[2].partition("<")[0]
    assert found == ["a/1", "a/2", "a/b/", "a/c"]
    assert call(faults, "GET", "a/1", headers={"Range": "bytes=0-0"}).status_code == 206
    assert (call(faults, "DELETE", "a/1").status_code, call(faults, "HEAD", "a/1").status_code) == (204, 404)
