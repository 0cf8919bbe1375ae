# SPDX-License-Identifier: Apache-2.0
"""zot's search over all members: each answers as if it had everything, also while one is away or another one comes."""
import contextlib
import json
import threading
import time

import pytest
import requests

from cluster import Cluster
from registry import MANIFEST, await_true, digest

SEARCH = "/v2/_zot/ext/search"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"
ADMIN = (Cluster.user, Cluster.password)
NAMES = [f"{team}/app-{n}" for team in ("blue", "red") for n in range(9)]


def push(worker, name, tag, layers, day=1, os="linux", subject=None):
    """An image of these layers; its manifest."""
    config = json.dumps({"os": os, "architecture": "amd64", "created": f"2024-01-{day:02}T00:00:00Z",
                         "history": [{"created_by": f"ADD {i}"} for i in range(len(layers))]}).encode()
    for blob in (config, *layers):
        reply = requests.post(f"{worker.url}/v2/{name}/blobs/uploads/", params={"digest": digest(blob)}, data=blob, auth=ADMIN, timeout=60)
        assert reply.status_code == 201, reply.text
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": digest(blob), "size": len(blob)} for blob in layers],
            "annotations": {"org.opencontainers.image.vendor": f"vendor of {name}"}}
    if subject:
        body |= {"subject": {"mediaType": MANIFEST, "digest": digest(subject), "size": len(subject)}, "artifactType": "x/sbom"}
    body = json.dumps(body).encode()
    reply = requests.put(f"{worker.url}/v2/{name}/manifests/{tag or digest(body)}", data=body, headers={"Content-Type": MANIFEST}, auth=ADMIN, timeout=60)
    assert reply.status_code == 201, reply.text
    return body


def ask(worker, query, who=ADMIN):
    reply = requests.get(worker.url + SEARCH, params={"query": query}, auth=who, timeout=60)
    assert reply.status_code == 200, (reply.status_code, reply.text)
    return reply


def fill(workers):
    """Of each name two images, one on top of the other, through one worker after the other. The second half has other days, so that orders differ."""
    for n, name in enumerate(NAMES):
        worker = workers[n % len(workers)]
        base = push(worker, name, "v1", (b"base", name.encode()), day=1 + n * 7 % 19)
        push(worker, name, "v2", (b"base", name.encode(), b"more"), day=2 + n * 5 % 23, os="windows" if n % 4 == 0 else "linux")
        push(worker, name, None, (b"sbom",), subject=base)


IMAGE = ("RepoName Tag Digest MediaType Size IsSigned LastUpdated Vendor Title Description DownloadCount ArtifactType SignatureInfo{Tool IsTrusted Author} "
         "Referrers{MediaType ArtifactType Size Digest Annotations{Key Value}} Manifests{Digest ConfigDigest LastUpdated Size Platform{Os Arch} Layers{Size Digest} "
         "History{Layer{Size Digest} HistoryDescription{Created CreatedBy Author Comment EmptyLayer}} Referrers{Digest} ArtifactType}")
REPO = "Name Size Platforms{Os Arch} Vendors DownloadCount StarCount IsStarred IsBookmarked Rank NewestImage{%s}" % IMAGE
PAGED = "Page{TotalCount ItemCount} Results{%s}"
SORTS = ("RELEVANCE", "UPDATE_TIME", "ALPHABETIC_ASC", "ALPHABETIC_DSC", "DOWNLOADS")


def questions():
    for sort in SORTS:
        yield '{GlobalSearch(query:"app",requestedPage:{limit:7 offset:5 sortBy:%s}){Page{TotalCount ItemCount} Repos{%s}}}' % (sort, REPO)
        yield '{ImageList(repo:"",requestedPage:{limit:5 offset:11 sortBy:%s}){%s}}' % (sort, PAGED % IMAGE)
        yield '{ImageList(repo:"red/app-3",requestedPage:{limit:1 offset:1 sortBy:%s}){%s}}' % (sort, PAGED % IMAGE)
    yield '{GlobalSearch(query:""){Page{TotalCount ItemCount} Repos{%s}}}' % REPO
    yield '{GlobalSearch(query:"",filter:{Os:"windows"}){Page{TotalCount ItemCount} Repos{Name}}}'
    yield '{GlobalSearch(query:"ed/app",requestedPage:{limit:4}){Page{TotalCount ItemCount} Repos{Name Rank}}}'
    yield '{GlobalSearch(query:":V",requestedPage:{limit:9 offset:20}){Page{TotalCount ItemCount} Images{%s}}}' % IMAGE
    yield '{GlobalSearch(query:"blue/app-1:v"){Page{TotalCount ItemCount} Images{%s}}}' % IMAGE
    yield '{GlobalSearch(query:"%s"){Page{TotalCount} Images{RepoName Tag}}}' % digest(b"more")[:15]
    yield '{RepoListWithNewestImage(requestedPage:{limit:3 offset:17}){%s}}' % (PAGED % "Name NewestImage{Tag}")
    yield '{RepoListWithNewestImage(requestedPage:{offset:100}){%s}}' % (PAGED % "Name")
    yield '{ImageListForDigest(id:"%s",requestedPage:{limit:50}){%s}}' % (digest(b"base")[7:], PAGED % IMAGE)
    for name in ("blue/app-0", "red/app-8", "none/such"):
        yield '{ExpandedRepoInfo(repo:"%s"){Images{%s IsDeletable} Summary{%s}}}' % (name, IMAGE, REPO)
        yield '{Image(image:"%s:v1"){%s}}' % (name, IMAGE)
        yield '{DerivedImageList(image:"%s:v1",requestedPage:{limit:4}){%s}}' % (name, PAGED % IMAGE)
        yield '{BaseImageList(image:"%s:v2"){%s}}' % (name, PAGED % IMAGE)
        yield '{a:ImageList(repo:"%s"){Page{TotalCount}} b:GlobalSearch(query:"%s"){Page{TotalCount} Repos{Name}} StarredRepos{%s} BookmarkedRepos{%s}}' % (name, name, PAGED % "Name", PAGED % "Name")
    yield '{Referrers(repo:"blue/app-1",digest:"%s",type:["x/sbom"]){MediaType ArtifactType Size Digest Annotations{Key Value}}}' % digest(b"none")
    yield '{x:Image(image:"blue/app-1") {Tag} CVEListForImage(image:"a:b"){Tag}}'


def total(worker):
    told = ask(worker, '{ImageList(repo:""){Page{TotalCount}} RepoListWithNewestImage{Page{TotalCount}}}').json()
    return None if "errors" in told else (told["data"]["ImageList"]["Page"]["TotalCount"], told["data"]["RepoListWithNewestImage"]["Page"]["TotalCount"])


def await_whole(workers, images=2 * len(NAMES)):
    for worker in workers:
        await_true(lambda: total(worker) == (images, len(NAMES)), 60, f"{images} images through {worker.name}")


@contextlib.contextmanager
def searching(store, workers=3, **more):
    with Cluster(store=store, workers=workers, haproxy=False, worker_environment={"ZOT_SEARCH": "true"}, **more) as cluster:
        fill(cluster.workers)
        await_whole(cluster.workers)
        yield cluster


@pytest.fixture(scope="module")
def alone():
    """What a single worker answers of the same images."""
    with searching("fs", workers=1) as cluster:
        yield {query: ask(cluster.workers[0], query).text for query in questions()}


@pytest.mark.parametrize("store", ["fs", "own"])
def test_each_member_answers_as_one_alone(store, alone):
    with searching(store, lease_ms=1500) as cluster:
        owners = {name: cluster.owner_of(name).name for name in NAMES}
        assert len(set(owners.values())) == 3, owners
        for query in questions():
            for worker in cluster.workers:
                assert ask(worker, query).text == alone[query], (worker.name, query)
        a_member_is_away(cluster, owners)


def walk(worker, sort, missing):
    """All names, by pages, and who was missing in each."""
    names, offset = [], 0
    while True:
        told = ask(worker, '{GlobalSearch(query:"",requestedPage:{limit:7 offset:%d sortBy:%s}){Page{TotalCount ItemCount} Repos{Name}}}' % (offset, sort)).json()
        names += [r["Name"] for r in told["data"]["GlobalSearch"]["Repos"]]
        missing.append(sorted(name for e in told.get("errors", []) for name in e["extensions"]["members"]))
        if told["data"]["GlobalSearch"]["Page"]["ItemCount"] < 7:
            return names
        offset += 7


def a_member_is_away(cluster, owners):
    dead, left = cluster.workers[2], cluster.workers[:2]
    dead.kill()
    for worker in left:
        told = ask(worker, '{GlobalSearch(query:"",requestedPage:{sortBy:ALPHABETIC_ASC}){Page{TotalCount} Repos{Name}}}').json()
        # Before its lease is over it is named; behind that, where storage is shared, its repositories are others'.
        if "errors" in told:
            error, = told["errors"]
            if error["extensions"]["members"] == [dead.name]:
                rest = [name for name in sorted(NAMES) if owners[name] != dead.name]
                assert [r["Name"] for r in told["data"]["GlobalSearch"]["Repos"]] == rest and told["data"]["GlobalSearch"]["Page"]["TotalCount"] == len(rest)
                assert error["path"] == ["GlobalSearch"] and dead.name in error["message"]
    if cluster.kind == "fs":
        await_whole(left)
    dead.start()
    await_whole(cluster.workers)
