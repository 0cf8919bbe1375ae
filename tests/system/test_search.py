# SPDX-License-Identifier: Apache-2.0
"""zot's search over all members: each answers as if it had everything, also while one is away or another one comes."""
import json

import pytest
import requests

from cluster import Cluster
from registry import MANIFEST, await_true, digest

SEARCH = "/v2/_zot/ext/search"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"
ADMIN = (Cluster.user, Cluster.password)
NAMES = [f"{team}/app-{n}" for team in ("blue", "red") for n in range(6)]


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


def whole(worker, query, who=ADMIN):
    """The answer in which nobody is missing: on a machine that is busy a member may take longer than its two seconds."""
    def answer():
        reply = ask(worker, query, who)
        return None if '"members":[' in reply.text else reply.text
    return await_true(answer, 60, f"an answer of all through {worker.name}")


def fill(workers):
    """Of each name two images, one on top of the other, through one worker after the other. The second half has other days, so that orders differ."""
    for n, name in enumerate(NAMES):
        worker = workers[n % len(workers)]
        base = push(worker, name, "v1", (b"base", name.encode()), day=1 + n * 7 % 19)
        push(worker, name, "v2", (b"base", name.encode(), b"more"), day=2 + n * 5 % 23, os="windows" if n % 4 == 0 else "linux")
        if n % 4 == 1:
            push(worker, name, None, (b"sbom",), subject=base)


IMAGE = ("RepoName Tag Digest MediaType Size IsSigned LastUpdated Vendor Title Description DownloadCount ArtifactType SignatureInfo{Tool IsTrusted Author} "
         "Referrers{MediaType ArtifactType Size Digest Annotations{Key Value}} Manifests{Digest ConfigDigest LastUpdated Size Platform{Os Arch} Layers{Size Digest} "
         "History{Layer{Size Digest} HistoryDescription{Created CreatedBy Author Comment EmptyLayer}} Referrers{Digest} ArtifactType}")
REPO = "Name Size Platforms{Os Arch} Vendors DownloadCount StarCount IsStarred IsBookmarked Rank NewestImage{%s}" % IMAGE
PAGED = "Page{TotalCount ItemCount} Results{%s}"
SORTS = ("RELEVANCE", "UPDATE_TIME", "ALPHABETIC_ASC", "ALPHABETIC_DSC", "DOWNLOADS")


def questions():
    for sort in SORTS:
        yield '{GlobalSearch(query:"app",requestedPage:{limit:5 offset:3 sortBy:%s}){Page{TotalCount ItemCount} Repos{%s}}}' % (sort, REPO)
        yield '{ImageList(repo:"",requestedPage:{limit:5 offset:11 sortBy:%s}){%s}}' % (sort, PAGED % IMAGE)
        yield '{ImageList(repo:"red/app-3",requestedPage:{limit:1 offset:1 sortBy:%s}){%s}}' % (sort, PAGED % IMAGE)
    yield '{GlobalSearch(query:""){Page{TotalCount ItemCount} Repos{%s}}}' % REPO
    yield '{GlobalSearch(query:"",filter:{Os:"windows"}){Page{TotalCount ItemCount} Repos{Name}}}'
    yield '{GlobalSearch(query:"ed/app",requestedPage:{limit:4}){Page{TotalCount ItemCount} Repos{Name Rank}}}'
    yield '{GlobalSearch(query:":V",requestedPage:{limit:9 offset:11}){Page{TotalCount ItemCount} Images{%s}}}' % IMAGE
    yield '{GlobalSearch(query:"blue/app-1:v"){Page{TotalCount ItemCount} Images{%s}}}' % IMAGE
    yield '{GlobalSearch(query:"%s"){Page{TotalCount} Images{RepoName Tag}}}' % digest(b"more")[:15]
    yield '{RepoListWithNewestImage(requestedPage:{limit:3 offset:10}){%s}}' % (PAGED % "Name NewestImage{Tag}")
    yield '{RepoListWithNewestImage(requestedPage:{offset:100}){%s}}' % (PAGED % "Name")
    yield '{ImageListForDigest(id:"%s",requestedPage:{limit:50}){%s}}' % (digest(b"base")[7:], PAGED % IMAGE)
    for name in ("blue/app-0", "red/app-5", "none/such"):
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


SETTINGS = {"haproxy": False, "lease_ms": 1500, "worker_environment": {"ZOT_SEARCH": "true"}}


def grow(cluster):
    """One member more."""
    worker = cluster.worker(f"worker-{len(cluster.workers)}").start(wait=False)
    cluster.workers.append(worker)
    return worker


@pytest.fixture(scope="module")
def first():
    """One worker with all images, and what it answers of them alone."""
    with Cluster(store="fs", workers=1, **SETTINGS) as cluster:
        fill(cluster.workers)
        await_whole(cluster.workers)
        yield cluster, {query: ask(cluster.workers[0], query).text for query in questions()}


def each_member_answers(cluster, alone):
    await_whole(cluster.workers)
    owners = {name: cluster.owner_of(name).name for name in NAMES}
    for query in questions():
        for worker in cluster.workers:
            assert whole(worker, query) == alone[query], (worker.name, query)
    who_may_read_one_finds_one(cluster)
    a_member_is_away(cluster, owners)
    another_member_comes(cluster)


def test_members_of_one_storage(first):
    cluster, alone = first
    for _ in range(2):
        grow(cluster)
    for worker in cluster.workers:
        worker.wait_ready()
    cluster.wait_active(3)
    each_member_answers(cluster, alone)


def test_members_with_a_storage_each(first):
    with Cluster(store="own", **SETTINGS) as cluster:
        fill(cluster.workers)
        each_member_answers(cluster, first[1])


def who_may_read_one_finds_one(cluster):
    """By no query, filter, total or error there is another one."""
    ann, own = ("ann", "a password of hers"), "red/app-3"
    others = [name for name in NAMES if name != own]
    assert cluster.admin("POST", "/api/user", {"id": ann[0], "password": ann[1]}).status_code == 201
    assert cluster.admin("PUT", f"/api/policy/{own}", {"policies": [{"users": [ann[0]], "actions": ["read"]}]}).status_code in (200, 201)
    totals = "{a:ImageList(repo:\"\"){Page{TotalCount}} b:GlobalSearch(query:\"app\"){Page{TotalCount}} c:GlobalSearch(query:\":v\"){Page{TotalCount}} d:ImageListForDigest(id:\"%s\"){Page{TotalCount}}}" % digest(b"base")
    for worker in cluster.workers:
        def totals_of(worker=worker):
            reply = requests.get(worker.url + SEARCH, params={"query": totals}, auth=ann, timeout=60)
            return reply.status_code == 200 and [reply.json()["data"][key]["Page"]["TotalCount"] for key in "abcd"] == [2, 1, 2, 2]
        await_true(totals_of, 30, f"what ann may read through {worker.name}")
        for query in questions():
            text = whole(worker, query, ann)
            assert not [name for name in others if name in text], (worker.name, query, text)
        for name in others[:3]:
            for kind in ('{Image(image:"%s:v1"){Tag}}', '{ExpandedRepoInfo(repo:"%s"){Images{Tag}}}', '{DerivedImageList(image:"%s:v1"){Page{TotalCount}}}', '{ImageList(repo:"%s"){Page{TotalCount}}}'):
                assert whole(worker, kind % name, ann) == whole(worker, kind % "none/such", ann), (worker.name, name, kind)
        assert requests.get(worker.url + SEARCH, params={"query": totals}, timeout=60).status_code == 401


def walk(worker, sort="ALPHABETIC_ASC"):
    """All names by pages of seven, how many there are by each page, and who was missing in each."""
    names, totals, missing, offset = [], [], [], 0
    while True:
        told = ask(worker, '{GlobalSearch(query:"",requestedPage:{limit:7 offset:%d sortBy:%s}){Page{TotalCount ItemCount} Repos{Name}}}' % (offset, sort)).json()
        page = told["data"]["GlobalSearch"]
        names += [r["Name"] for r in page["Repos"]]
        totals.append(page["Page"]["TotalCount"])
        assert page["Page"]["ItemCount"] == len(page["Repos"]) == min(7, max(0, totals[-1] - offset)), page
        missing.append([(e["extensions"]["members"], "may be" in e["message"]) for e in told.get("errors", [])])
        if len(page["Repos"]) < 7:
            return names, totals, missing
        offset += 7


def a_member_is_away(cluster, owners):
    """It is named as long as its repositories are nobody else's; a walk that misses the same in each of its pages has no name twice, and all but those of the dead."""
    dead = next(worker for worker in cluster.workers if worker.name == owners[NAMES[0]])
    left = [worker for worker in cluster.workers if worker is not dead]
    rest = sorted(name for name in NAMES if owners[name] != dead.name)
    dead.kill()

    def looked(worker):
        names, totals, missing = walk(worker)
        if cluster.kind == "fs" and len(set(map(str, missing))) == 1 and not missing[0]:
            return names == sorted(NAMES) and set(totals) == {len(NAMES)}  # its lease was over before we came
        if any(told != [([dead.name], False)] for told in missing):
            return False  # the ring changes in the middle of it
        assert names == rest and set(totals) == {len(rest)}, (names, totals)
        return True
    for worker in left:
        await_true(lambda worker=worker: looked(worker), 30, f"a walk through {worker.name}")
        told = ask(worker, '{Image(image:"%s:v1"){Tag}}' % NAMES[0]).json()
        assert cluster.kind == "fs" or (told["data"] is None and dead.name in told["errors"][-1]["message"]), told
    if cluster.kind == "fs":
        await_whole(left)
        for worker in left:
            await_true(lambda worker=worker: walk(worker) == (sorted(NAMES), [len(NAMES)] * 2, [[]] * 2), 30, f"all names through {worker.name}")
    dead.start()
    await_whole(cluster.workers)


def another_member_comes(cluster):
    """Repositories move to it. No answer has one twice, and at last it answers as all."""
    comer, worker = grow(cluster), cluster.workers[0]

    def look():
        told = ask(worker, '{GlobalSearch(query:"",requestedPage:{sortBy:ALPHABETIC_ASC}){Page{TotalCount} Repos{Name}}}').json()
        names = [r["Name"] for r in told["data"]["GlobalSearch"]["Repos"]]
        assert names == sorted(set(names)) and told["data"]["GlobalSearch"]["Page"]["TotalCount"] == len(names)
        # Of a storage of its own the one who gave it tells no more, some milliseconds before the one who took it does.
        assert len(names) == len(NAMES) or "errors" in told or cluster.kind == "own", names
        return len(cluster.active()) == 4 and "errors" not in told and len(names) == len(NAMES)
    await_true(look, 60, "the fourth member, with all there is")
    comer.wait_ready()
    await_whole(cluster.workers)
