# SPDX-License-Identifier: Apache-2.0
"""The official OCI conformance suite, on repositories of the worker that is asked, and on those of its peers."""
import itertools
import json
import os
import re
import subprocess

import pytest

from cluster import Cluster
from registry import await_true


def counter(worker, name):
    return int(re.search(rf"^zot_{name} (\d+)$", worker.call("GET", "/metrics").text, re.M).group(1))


def proxied(worker):
    """Requests that this worker sent on to a repository's owner."""
    return counter(worker, "proxied_total")


def repositories(cluster, worker, prefix, peers):
    """Two new names that the worker owns, or that its peers own: one of them, where each has what it owns, for a mount without `from` looks there."""
    found, owners = [], {}
    for n in itertools.count():
        before = proxied(worker)
        assert worker.call("GET", f"/v2/{prefix}/r{n}/tags/list").status_code == 404
        if (proxied(worker) > before) == peers:
            if peers and cluster.kind == "own":
                found = owners.setdefault(cluster.owner_of(f"{prefix}/r{n}").name, [])
            found.append(f"{prefix}/r{n}")
        if len(found) == 2:
            return found


def run_suite(cluster, worker, folder, peers, through=None, **options):
    """[(name, status)] of results.yaml: one row for each API and each set of data. through: the balancer; then peers is None."""
    one, two = repositories(cluster, worker, f"conformance/{folder.name}", peers or False)
    environment = {
        **os.environ, "OCI_REGISTRY": f"127.0.0.1:{(through or worker).port}", "OCI_TLS": "disabled", "OCI_REPO1": one, "OCI_REPO2": two,
        "OCI_RESULTS_DIR": str(folder), "OCI_USERNAME": cluster.user, "OCI_PASSWORD": cluster.password, **options}
    before, over_channels = proxied(worker), counter(worker, "peer_channel_calls_total")
    done = subprocess.run(["conformance"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    failures = "\n".join(line[:300] for line in (done.stdout + done.stderr).splitlines() if "failed test" in line)
    # Errors of its set-up end with 0 and without results, so the file is what counts.
    results = folder / "results.yaml"
    assert results.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    rows = re.findall(r"^  ([A-Z][^:\n]*): (\w+)$", results.read_text().partition("\napis:\n")[2], re.M)
    assert len(rows) > 40
    assert peers is None or ((proxied(worker) > before + 100) if peers else (proxied(worker) == before))
    assert peers is None or (counter(worker, "peer_channel_calls_total") > over_channels + 100) == peers
    assert done.returncode == 0 and "OCI Conformance Result: Pass" in done.stdout + done.stderr, failures
    return rows


def check(rows, version):
    assert set(count(rows)) <= {"Pass", "Disabled"}, [row for row in rows if row[1] not in ("Pass", "Disabled")]
    assert version != "dev" or set(count(rows)) == {"Pass"}


def count(rows):
    return {status: sum(row[1] == status for row in rows) for status in {row[1] for row in rows}}


RUNS = [("1.1", True, {}), ("dev", True, {"OCI_DATA_SPARSE": "true"}), ("dev", False, {"OCI_DATA_SPARSE": "true"})]


@pytest.mark.parametrize("store", ["moto", "radosgw", "fs"])
def test_all_versions(store, tmp_path):
    """One of the buckets has a cache before it."""
    with Cluster(store=store, haproxy=False, cache=store == "moto") as cluster:
        for version, peers, options in RUNS:
            folder = tmp_path / f"{version}-{'peers' if peers else 'own'}"
            folder.mkdir()
            rows = run_suite(cluster, cluster.workers[1], folder, peers, OCI_VERSION=version, **options)
            print(store, version, "a peer's" if peers else "its own", count(rows))
            check(rows, version)
        assert store != "moto" or counter(cluster.workers[1], "cache_hits_total") > 0


def test_with_keys_that_end(tmp_path):
    """A bucket that is opened by a web identity, whose keys are renewed all the time."""
    with Cluster(store="moto that lends keys", haproxy=False, workers=2) as cluster:
        folder = tmp_path / "dev"
        folder.mkdir()
        check(run_suite(cluster, cluster.workers[1], folder, False, OCI_VERSION="dev", OCI_DATA_SPARSE="true"), "dev")
        await_true(lambda: cluster.s3.times_lent()["sts"] > 2, what="keys again")


def test_through_a_balancer(tmp_path):
    """Each request at another worker: sessions move all the time. A mount without `from` finds what its own worker has taken,
    and the specification lets a registry not know of it."""
    with Cluster(store="fs") as cluster:
        rows = run_suite(cluster, cluster.workers[0], tmp_path, None, through=cluster.front, OCI_VERSION="dev", OCI_DATA_SPARSE="true")
        others = [row for row in rows if row[1] != "Pass"]
        assert set(others) <= {("Blob anonymous mount", "Skip")}, others
        assert sum(counter(worker, "uploads_taken_total") for worker in cluster.workers) > 10


def test_over_tls(tmp_path):
    """Clients, workers and their channels; and all repositories of the suite in a root of their own, with blobs that are shared."""
    subs = {"/conformance": {"rootDirectory": str(tmp_path / "root"), "dedupe": True}}
    with Cluster(store="fs", haproxy=False, tls=True, worker_environment={"ZOT_SUBPATHS": json.dumps(subs)}) as cluster:
        check(run_suite(cluster, cluster.workers[1], tmp_path, True, OCI_VERSION="dev", OCI_DATA_SPARSE="true", OCI_TLS="enabled", SSL_CERT_FILE=cluster.ca), "dev")
    assert len(list((tmp_path / "root/conformance").rglob("index.json"))) == 2


def test_each_with_its_own_storage(tmp_path):
    """Three workers with a disk each: through the balancer, and through a worker that owns neither repository. SCALE=full: through each of the three."""
    with Cluster(store="own") as cluster:
        rows = run_suite(cluster, cluster.workers[0], tmp_path, None, through=cluster.front, OCI_VERSION="dev", OCI_DATA_SPARSE="true")
        check(rows, "dev")
        for worker in cluster.workers if os.environ.get("SCALE") == "full" else cluster.workers[1:2]:
            folder = tmp_path / worker.name
            folder.mkdir()
            check(run_suite(cluster, worker, folder, True, OCI_VERSION="dev", OCI_DATA_SPARSE="true"), "dev")
