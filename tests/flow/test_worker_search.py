# SPDX-License-Identifier: Apache-2.0
"""extensions.search: what zot's web page and command line ask for, over HTTP, and who sees what."""
import concurrent.futures
import json

import pytest

from test_worker_access import as_user, write_htpasswd
from worker_process import CLUSTER_SECRET, MANIFEST, Worker, await_true, digest, free_port

SEARCH = "/v2/_zot/ext/search"
CONFIG, LAYER, INDEX = ("application/vnd.oci.image." + kind for kind in ("config.v1+json", "layer.v1.tar", "index.v1+json"))


def push(worker, name, tag, layers=(b"one",), os="linux", day=1, annotations=None, subject=None, **more):
    """An image of these layers; its manifest."""
    config = json.dumps({"os": os, "architecture": "amd64", "created": f"2024-01-{day:02}T00:00:00Z",
                         "history": [{"created_by": f"ADD {i}"} for i in range(len(layers))]}).encode()
    for blob in (config, *layers):
        reply = worker.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest(blob)}", data=blob, **more)
        assert reply.status_code == 201, reply.text
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": digest(blob), "size": len(blob)} for blob in layers]}
    if annotations:
        body["annotations"] = annotations
    if subject:
        body |= {"subject": {"mediaType": MANIFEST, "digest": digest(subject), "size": len(subject)}, "artifactType": "x/sbom"}
    body = json.dumps(body).encode()
    reply = worker.call("PUT", f"/v2/{name}/manifests/{tag or digest(body)}", data=body, headers={"Content-Type": MANIFEST}, **more)
    assert reply.status_code == 201, reply.text
    return body


def ask(worker, query, **more):
    """As zot's web page does it."""
    reply = worker.call("GET", SEARCH, params={"query": query}, **more)
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert "errors" not in told, told["errors"]
    return told["data"]


def await_images(worker, n, **more):
    await_true(lambda: ask(worker, '{ImageList(repo:""){Page{TotalCount}}}', **more)["ImageList"]["Page"]["TotalCount"] == n, what=f"{n} images")


@pytest.fixture(scope="module")
def filled():
    with Worker(ZOT_SEARCH="true") as worker:
        base = push(worker, "org/base", "v1", day=2)
        push(worker, "org/app", "v1", (b"one", b"two"), day=3, annotations={"org.opencontainers.image.vendor": "us", "org.opencontainers.image.licenses": "MIT"})
        push(worker, "org/app", "v2", (b"one", b"two", b"three"), day=5)
        push(worker, "win", "v1", (b"four",), os="windows", day=4)
        push(worker, "org/base", None, subject=base, annotations={"k": "v"})
        await_images(worker, 4)
        yield worker, base


def test_what_the_web_page_asks(filled):
    worker, base = filled
    # Home and explore.
    repos = ("{GlobalSearch(query:\"%s\", requestedPage: {limit:%d offset:0 sortBy: %s} %s) {Page {TotalCount ItemCount} Repos {Name LastUpdated Size Platforms { Os Arch } "
             "IsStarred IsBookmarked NewestImage { Tag Vulnerabilities {MaxSeverity Count} Description IsSigned SignatureInfo { Tool IsTrusted Author } Licenses Vendor Labels } StarCount DownloadCount}}}")
    told = ask(worker, repos % ("", 2, "UPDATE_TIME", ""))["GlobalSearch"]
    assert told["Page"] == {"TotalCount": 3, "ItemCount": 2} and told["Repos"][0]["Name"]
    for order in ("RELEVANCE", "UPDATE_TIME", "ALPHABETIC_ASC", "ALPHABETIC_DSC", "DOWNLOADS"):
        assert ask(worker, repos % ("", 10, order, ""))["GlobalSearch"]["Page"] == {"TotalCount": 3, "ItemCount": 3}
    assert [r["Name"] for r in ask(worker, repos % ("", 10, "ALPHABETIC_DSC", ""))["GlobalSearch"]["Repos"]] == ["win", "org/base", "org/app"]
    assert ask(worker, repos % ("", 2, "RELEVANCE", "filter: {IsBookmarked: true}"))["GlobalSearch"]["Page"]["TotalCount"] == 0
    found = ask(worker, repos % ("app", 10, "RELEVANCE", 'filter: {Os:"linux" Arch:"" HasToBeSigned:false}'))["GlobalSearch"]["Repos"]
    assert [r["Name"] for r in found] == ["org/app"] and found[0]["NewestImage"]["Tag"] == "v2" and found[0]["Platforms"] == [{"Os": "linux", "Arch": "amd64"}]
    assert ask(worker, '{GlobalSearch(query:"org/app:v", requestedPage: {limit:9 offset:0 sortBy: RELEVANCE}) {Images {RepoName Tag}}}')["GlobalSearch"]["Images"] == [
        {"RepoName": "org/app", "Tag": "v1"}, {"RepoName": "org/app", "Tag": "v2"}]
    # A repository.
    told = ask(worker, '{ExpandedRepoInfo(repo:"org/app") {Images {Manifests {Digest Platform {Os Arch} Size} Vulnerabilities {MaxSeverity Count} Tag LastUpdated Vendor IsDeletable } '
                       'Summary {Name LastUpdated Size Platforms { Os Arch } Vendors IsStarred IsBookmarked NewestImage {RepoName IsSigned SignatureInfo { Tool IsTrusted Author } '
                       'Vulnerabilities {MaxSeverity Count} Manifests {Digest} Tag Vendor Title Documentation DownloadCount Source Description Licenses}}}}')["ExpandedRepoInfo"]
    assert [i["Tag"] for i in told["Images"]] == ["v2", "v1"] and told["Images"][0]["IsDeletable"] is True and told["Summary"]["Name"] == "org/app"
    assert told["Images"][1]["LastUpdated"] == "2024-01-03T00:00:00.000Z" and told["Images"][1]["Vendor"] == "us"
    # An image.
    told = ask(worker, '{Image(image: "org/base:v1") {RepoName IsSigned SignatureInfo { Tool IsTrusted Author } Vulnerabilities {MaxSeverity Count} Referrers {MediaType ArtifactType Size Digest '
                       'Annotations{Key Value}} Tag TaggedTimestamp ArtifactType Manifests {ArtifactType Layers {Size Digest} History {Layer {Size Digest} HistoryDescription {CreatedBy EmptyLayer}} '
                       'Digest ConfigDigest LastUpdated Size Platform {Os Arch} Referrers {MediaType ArtifactType Size Digest Annotations{Key Value}}} Vendor Licenses }}')["Image"]
    manifest, = told["Manifests"]
    assert manifest["Digest"] == digest(base) and manifest["Layers"] == [{"Size": "3", "Digest": digest(b"one")}]
    assert manifest["History"] == [{"Layer": manifest["Layers"][0], "HistoryDescription": {"CreatedBy": "ADD 0", "EmptyLayer": False}}]
    referrer, = told["Referrers"]
    assert referrer["ArtifactType"] == "x/sbom" and referrer["Annotations"] == [{"Key": "k", "Value": "v"}] and isinstance(referrer["Size"], int)
    # What is below it, and above.
    page = "requestedPage: {limit:10 offset:0}) {Page {TotalCount ItemCount} Results {RepoName Tag Description Manifests {Digest Platform {Os Arch} Size} Vendor DownloadCount LastUpdated IsSigned SignatureInfo {Tool IsTrusted Author} Vulnerabilities {MaxSeverity Count}}}}"
    assert [(i["RepoName"], i["Tag"]) for i in ask(worker, '{BaseImageList(image: "org/app:v1", ' + page)["BaseImageList"]["Results"]] == [("org/base", "v1")]
    assert [i["Tag"] for i in ask(worker, '{DerivedImageList(image: "org/base:v1", ' + page)["DerivedImageList"]["Results"]] == ["v2", "v1"]
    told = worker.call("GET", SEARCH, params={"query": '{CVEListForImage(image: "org/app:v1", requestedPage: {limit:10 offset:0}) {Tag Page {TotalCount ItemCount} CVEList {Id}}}'}).json()
    assert told["data"] is None and "cve search is disabled" in told["errors"][0]["message"]


def zli(worker, query, **more):
    """The query in the URL and as a body, and a login of nobody."""
    return worker.call("GET", SEARCH, params={"query": query}, data=query, headers={"Content-Type": "application/json", "Authorization": "Basic Og=="}, **more)


def test_what_the_command_line_asks(filled):
    worker, base = filled
    zots, = [e for e in worker.call("GET", "/v2/_oci/ext/discover").json()["extensions"] if e["name"] == "_zot"]
    assert SEARCH in zots["endpoints"]
    schema = zli(worker, "{__schema{queryType{fields{name args{name} type{name kind}} __typename} types{name fields{name}}}}").json()["data"]["__schema"]
    arguments = {field["name"]: [a["name"] for a in field["args"]] for field in schema["queryType"]["fields"]}
    assert arguments["ImageList"] == ["repo", "requestedPage"] and arguments["Referrers"] == ["repo", "digest", "type"]
    assert arguments["GlobalSearch"] == ["query", "filter", "requestedPage"] and arguments["DerivedImageList"] == ["image", "digest", "requestedPage"]
    assert arguments["CVEDiffListForImages"] == ["minuend", "subtrahend", "requestedPage", "searchedCVE", "excludedCVE"]
    assert arguments["CVEListForImage"] == ["image", "requestedPage", "searchedCVE", "excludedCVE", "severity"]
    image = "RepoName Tag Digest MediaType Manifests { Digest ConfigDigest Size Platform { Os Arch } IsSigned Layers { Size Digest } LastUpdated } LastUpdated Size IsSigned"
    told = zli(worker, '{ImageList(repo: "org/app", requestedPage: {sortBy: ALPHABETIC_ASC}) { Results { %s } } }' % image).json()["data"]["ImageList"]["Results"]
    assert [i["Tag"] for i in told] == ["v1", "v2"] and told[0]["MediaType"] == MANIFEST and told[0]["Manifests"][0]["Size"] == told[0]["Size"]
    told = zli(worker, '{ImageListForDigest(id: "%s", requestedPage: {sortBy: RELEVANCE}) { Results { %s } } }' % (digest(base), image)).json()["data"]["ImageListForDigest"]["Results"]
    assert [i["RepoName"] for i in told] == ["org/base"]
    told = zli(worker, '{GlobalSearch(query: "org", requestedPage: {sortBy: RELEVANCE}) { Page { ItemCount TotalCount } Images { %s } '
                       'Repos { Name Platforms { Os Arch } LastUpdated Size DownloadCount StarCount } } }' % image).json()["data"]["GlobalSearch"]
    assert [r["Name"] for r in told["Repos"]] == ["org/app", "org/base"] and told["Images"] == []
    told = zli(worker, '{Referrers(repo: "org/base", digest: "%s", type: [""]) { ArtifactType Digest MediaType Size Annotations { Key Value } } }' % digest(base)).json()["data"]["Referrers"]
    assert [r["ArtifactType"] for r in told] == ["x/sbom"]


def test_requests_of_each_kind(filled):
    worker, _ = filled
    query = "query Q($r:String!){ImageList(repo:$r){Page{TotalCount}}}"
    for body in ({"query": query, "variables": {"r": "win"}}, {"query": query, "operationName": "Q", "variables": {"r": "win"}, "extensions": {}}):
        reply = worker.call("POST", SEARCH, json=body)
        assert reply.status_code == 200 and reply.json() == {"data": {"ImageList": {"Page": {"TotalCount": 1}}}}
        assert reply.headers["Content-Type"] == "application/json" and reply.headers["X-Content-Type-Options"] == "nosniff" and reply.headers["Access-Control-Allow-Origin"] == "*"
    before = worker.call("OPTIONS", SEARCH)
    assert before.status_code == 204 and "POST" in before.headers["Access-Control-Allow-Methods"]
    assert worker.call("POST", SEARCH, json={"query": "{Nix}"}).status_code == 422
    for wrong in ({"data": b"{"}, {"json": [{"query": query}]}, {"json": {}}):
        reply = worker.call("POST", SEARCH, headers={"Content-Type": "application/json"}, **wrong)
        assert reply.status_code == 400 and reply.json()["errors"][0]["message"], reply.text
    assert worker.call("POST", SEARCH, data=b"x" * (256 * 1024 + 1)).status_code == 413
    assert worker.call("PUT", SEARCH).status_code == 405 and worker.call("GET", SEARCH).status_code == 400


def test_many_at_once_are_answered_or_told_to_come_again(filled):
    worker, _ = filled
    query = "{%s}" % " ".join(f'a{i}:ImageList(repo:""){{Results{{RepoName Manifests{{Layers{{Size}}}}}}}}' for i in range(20))
    with concurrent.futures.ThreadPoolExecutor(24) as clients:
        replies = list(clients.map(lambda _: worker.call("POST", SEARCH, json={"query": query}), range(48)))
    assert {r.status_code for r in replies} <= {200, 503} and any(r.status_code == 200 for r in replies)
    assert all(r.headers["Retry-After"] for r in replies if r.status_code == 503)
    assert all(len(r.json()["data"]["a19"]["Results"]) == 4 for r in replies if r.status_code == 200)


def test_without_it_there_is_no_path():
    with Worker() as worker:
        assert worker.call("GET", SEARCH, params={"query": "{__typename}"}).status_code == 404


def test_where_nobody_may_without_a_login_it_asks_for_one(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    with Worker(ZOT_SEARCH="true", ZOT_HTPASSWD=tmp_path / "htpasswd") as worker:
        assert worker.call("GET", SEARCH, params={"query": "{__typename}"}).status_code == 401
        assert zli(worker, "{__typename}").status_code == 401
        assert ask(worker, "{__typename}", **as_user("eve")) == {"__typename": "Query"}


def test_each_sees_what_they_may_read(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    config = {"extensions": {"search": {"enable": True}}, "http": {
        "auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}},
        "accessControl": {"repositories": {"**": {"defaultPolicy": ["read"]}, "public/*": {"anonymousPolicy": ["read"], "defaultPolicy": ["read"]},
                                           "team/**": {"policies": [{"users": ["ann"], "actions": ["read", "create", "update", "delete"]}]}},
                          "adminPolicy": {"users": ["root"], "actions": ["read", "create", "update", "delete"]}}}}
    with Worker(tmp_path, config=config) as worker:
        for name in ("public/a", "team/b", "other/c"):
            push(worker, name, "v1", **as_user("root"))
        await_images(worker, 3, **as_user("root"))
        repos = '{GlobalSearch(query:""){Page{TotalCount} Repos{Name}}}'
        for user, names in (("root", ["other/c", "public/a", "team/b"]), ("ann", ["other/c", "public/a", "team/b"]), ("eve", ["other/c", "public/a"]), (None, ["public/a"])):
            told = ask(worker, repos, **as_user(user))["GlobalSearch"]
            assert (sorted(r["Name"] for r in told["Repos"]), told["Page"]["TotalCount"]) == (names, len(names)), user
        # A login of nobody is nobody's.
        assert zli(worker, repos).json()["data"]["GlobalSearch"]["Page"]["TotalCount"] == 1
        assert worker.call("GET", SEARCH, params={"query": repos}, auth=("ann", "not it")).status_code == 401
        info = '{ExpandedRepoInfo(repo:"team/b"){Images{Tag IsDeletable}}}'
        assert ask(worker, info, **as_user("ann"))["ExpandedRepoInfo"]["Images"] == [{"Tag": "v1", "IsDeletable": True}]
        for user in ("eve", None):
            hidden = worker.call("GET", SEARCH, params={"query": info}, **as_user(user)).json()
            absent = worker.call("GET", SEARCH, params={"query": info.replace("team/b", "team/x")}, **as_user(user)).json()
            assert hidden["data"] is None and json.dumps(hidden).replace("team/b", "team/x") == json.dumps(absent)
        info = '{ExpandedRepoInfo(repo:"other/c"){Images{IsDeletable}}}'
        assert ask(worker, info, **as_user("eve"))["ExpandedRepoInfo"]["Images"] == [{"IsDeletable": False}]


def test_stars_and_bookmarks_are_the_askers(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    with Worker(ZOT_SEARCH="true", ZOT_USERPREFS="true", ZOT_HTPASSWD=tmp_path / "htpasswd") as worker:
        for name in ("a", "b"):
            push(worker, name, "v1", **as_user("root"))
        await_images(worker, 2, **as_user("root"))
        for user, action, name in (("ann", "toggleStar", "b"), ("eve", "toggleStar", "b"), ("ann", "toggleBookmark", "a")):
            assert worker.call("PUT", f"/v2/_zot/ext/userprefs?action={action}&repo={name}", **as_user(user)).status_code == 200
        query = '{GlobalSearch(query:"" requestedPage:{sortBy:ALPHABETIC_ASC}){Repos{Name IsStarred IsBookmarked StarCount}} StarredRepos{Results{Name}} BookmarkedRepos{Page{TotalCount}}}'
        for user, starred, marked in (("ann", True, True), ("eve", True, False), ("root", False, False)):
            told = ask(worker, query, **as_user(user))
            assert told["GlobalSearch"]["Repos"] == [{"Name": "a", "IsStarred": False, "IsBookmarked": marked, "StarCount": 0},
                                                     {"Name": "b", "IsStarred": starred, "IsBookmarked": False, "StarCount": 2}]
            assert told["StarredRepos"]["Results"] == ([{"Name": "b"}] if starred else []) and told["BookmarkedRepos"]["Page"]["TotalCount"] == marked


def test_in_a_cluster_it_says_whom_it_did_not_ask(tmp_path):
    ports = free_port(), free_port()
    with Worker(tmp_path, port=ports[0], ZOT_SEARCH="true", ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{port}" for port in ports),
                ZOT_CLUSTER_HASH_KEY="loremipsumdolors", ZOT_CLUSTER_SECRET=CLUSTER_SECRET) as worker:
        told = worker.call("GET", SEARCH, params={"query": '{ImageList(repo:""){Page{TotalCount}}}'}).json()
        assert told["data"]["ImageList"]["Page"] == {"TotalCount": 0} and "were not asked" in told["errors"][0]["message"]
