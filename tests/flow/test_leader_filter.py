# SPDX-License-Identifier: Apache-2.0
"""Lists by what is in them: filters, words, an order, and pages that stay right."""
import random

import pytest

from leader_process import Leader
from test_leader_bulk import bulk

KEYS = [{"id": f"key-{i:05d}", "owner": "ann" if i % 3 else "bob", "label": f"{random.Random(i).choice(['CI build', 'deploy', 'Night build'])} {i % 7}",
         "dailyQuota": i % 5 * 100, "enabled": i % 4 != 0, "tags": ["prod" if i % 2 else "test", f"t{i % 10}"],
         "metadata": {"team": "red" if i % 2 else "blue"}, "validUntil": "2030-01-01T00:00:00Z" if i % 6 == 0 else 0} for i in range(400)]


@pytest.fixture(scope="module")
def leader():
    with Leader() as one:
        for user in ("ann", "bob"):
            one.admin("POST", "/api/user", {"id": user, "groups": ["dev"] if user == "ann" else []})
        assert bulk(one, "POST", "apikey", KEYS).status_code == 200
        yield one


def get(leader, kind="apikey", **parameters):
    return leader.session.get(f"{leader.url}/api/{kind}", params=parameters, timeout=60)


def ids(reply):
    assert reply.status_code == 200, reply.text
    return [item["id"] for item in reply.json()["items"]]


def follow(leader, first, meanwhile=lambda: None):
    """All pages, by their links."""
    seen, reply = ids(first), first
    while "next" in reply.links:
        meanwhile()
        reply = leader.session.get(leader.url + reply.links["next"]["url"], timeout=60)
        seen += ids(reply)
    return seen


@pytest.mark.parametrize("filters, wanted", [
    (["owner:bob"], lambda k: k["owner"] == "bob"),
    (["enabled:false"], lambda k: not k["enabled"]),
    (["dailyQuota:300"], lambda k: k["dailyQuota"] == 300),
    (["tag:prod"], lambda k: "prod" in k["tags"]),
    (["tags:t1", "owner:ann"], lambda k: "t1" in k["tags"] and k["owner"] == "ann"),
    (["label:CI*"], lambda k: k["label"].startswith("CI")),
    (["id:key-0001*"], lambda k: k["id"].startswith("key-0001")),
    (["metadata:team=red"], lambda k: k["metadata"]["team"] == "red"),
    (["metadata:team"], lambda k: True),
    (["metadata:other"], lambda k: False),
    (["validUntil:2030-01-01T00:00:00Z"], lambda k: k["validUntil"]),
    (["validUntil:0", "tag:t*"], lambda k: not k["validUntil"])])
def test_filters(leader, filters, wanted):
    reply = get(leader, filter=filters, n=1000)
    expected = [k["id"] for k in KEYS if wanted(k)]
    assert ids(reply) == expected and reply.json()["total"] == len(expected)


def test_words_are_in_id_or_label(leader):
    assert ids(get(leader, q="BUILD ci", n=1000)) == [k["id"] for k in KEYS if k["label"].startswith("CI")]
    assert ids(get(leader, q="key-00017")) == ["key-00017"]
    assert ids(get(leader, q="nothing has this")) == []


@pytest.mark.parametrize("sort, key, down", [
    ("label", lambda k: (k["label"], k["id"]), False), ("-label", lambda k: (k["label"], k["id"]), True),
    ("dailyQuota", lambda k: (k["dailyQuota"], k["id"]), False), ("-dailyQuota", lambda k: (k["dailyQuota"], k["id"]), True),
    ("enabled", lambda k: (k["enabled"], k["id"]), False), ("id", lambda k: k["id"], False), ("-id", lambda k: k["id"], True)])
@pytest.mark.parametrize("n", [7, 100, 1000])
def test_orders_and_their_pages(leader, sort, key, down, n):
    expected = [k["id"] for k in sorted(KEYS, key=key, reverse=down)]
    assert follow(leader, get(leader, sort=sort, n=n)) == expected


def test_pages_with_a_filter(leader):
    assert follow(leader, get(leader, filter=["owner:bob", "tag:prod"], n=9)) == [k["id"] for k in KEYS if k["owner"] == "bob" and "prod" in k["tags"]]
    assert follow(leader, get(leader, filter="label:Night build*", q="build", sort="-label", n=3)) == [
        k["id"] for k in sorted(KEYS, key=lambda k: (k["label"], k["id"]), reverse=True) if k["label"].startswith("Night")]


def test_a_page_goes_on_where_the_last_ended_whatever_became_of_its_last():
    with Leader() as leader:
        assert bulk(leader, "POST", "group", [{"id": f"g{i:02d}", "description": chr(97 + i % 26)} for i in range(52)]).status_code == 200
        expected = [g["id"] for g in leader.admin("GET", "/api/group?n=1000&sort=description").json()["items"]]
        first = get(leader, "group", sort="description", n=10)
        last = ids(first)[-1]
        assert leader.admin("PATCH", f"/api/group/{last}", {"description": "zzz"}).status_code == 200
        second = leader.session.get(leader.url + first.links["next"]["url"], timeout=60)
        assert ids(first) + ids(second) == expected[:20]
        gone = ids(second)[-1]
        assert leader.admin("DELETE", f"/api/group/{gone}").status_code == 204
        third = leader.session.get(leader.url + second.links["next"]["url"], timeout=60)
        assert ids(third) == expected[20:30]
        refused = get(leader, "group", sort="description", last=gone)
        assert refused.status_code == 400 and "lastValue" in refused.text


@pytest.mark.parametrize("query, word", [
    ("filter=ownr:ann", 'did you mean \\"owner\\"'), ("filter=secretHash:a", "unknown field"), ("filter=owner", "<field>:<value>"),
    ("filter=enabled:yes", "enabled: must be true or false"), ("filter=dailyQuota:-1", "whole number"), ("filter=validUntil:never", "validUntil"),
    ("sort=lable", 'did you mean \\"label\\"'), ("sort=tags", "several values"), ("sort=label&sort=id", "there twice"),
    ("&".join(["filter=owner:ann"] * 17), "at most 16"), ("q=" + "+".join("abcdefghi"), "at most 8"), ("filtr=owner:ann", 'did you mean \\"filter\\"'),
    ("n=0", "1 to 1000"), ("sort=dailyQuota&last=key-00001&lastValue=x", "lastValue: must be a whole number"), ("filter=owner:%00", "broken")])
def test_what_is_wrong_is_named(leader, query, word):
    reply = leader.session.get(f"{leader.url}/api/apikey?{query}", timeout=60)
    assert reply.status_code in (400, 413) and word in reply.text, reply.text


def test_every_kind_can_be_asked(leader):
    assert ids(get(leader, "user", filter="group:dev")) == ["ann"]
    assert ids(get(leader, "user", filter="role:admin")) == ["admin"]
    assert ids(get(leader, "policy", filter="defaultPolicy:read")) == []
    assert ids(get(leader, "settings", filter="leaseMs:6000")) in (["cluster"], [])
    assert "objects" in get(leader, "policy", filter="policies:x").text
