# SPDX-License-Identifier: Apache-2.0
"""The official OCI conformance suite through one worker of three, so that most repositories are a peer's."""
import os
import pathlib
import re
import subprocess

import pytest

from cluster import Cluster


def run_suite(cluster, folder, **options):
    """[(name, status)] of results.yaml: one row for each API and each set of data."""
    environment = {
        **os.environ, "OCI_REGISTRY": f"127.0.0.1:{cluster.workers[1].port}", "OCI_TLS": "disabled", "OCI_REPO1": "conformance/one",
        "OCI_REPO2": "conformance/two", "OCI_RESULTS_DIR": str(folder), "OCI_USERNAME": cluster.user, "OCI_PASSWORD": cluster.password, **options}
    done = subprocess.run(["conformance"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    failures = "\n".join(line[:300] for line in (done.stdout + done.stderr).splitlines() if "failed test" in line)
    # Errors of its set-up end with 0 and without results, so the file is what counts.
    results = folder / "results.yaml"
    assert results.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    rows = re.findall(r"^  ([A-Z][^:\n]*): (\w+)$", results.read_text().partition("\napis:\n")[2], re.M)
    assert len(rows) > 40
    assert done.returncode == 0 and "OCI Conformance Result: Pass" in done.stdout + done.stderr, failures
    return rows


def count(rows):
    return {status: sum(row[1] == status for row in rows) for status in {row[1] for row in rows}}


@pytest.mark.parametrize("store", ["moto", "radosgw", "fs"])
def test_all_versions(store, tmp_path):
    with Cluster(store=store, haproxy=False) as cluster:
        for version, options in (("1.1", {}), ("dev", {"OCI_DATA_SPARSE": "true"})):
            folder = tmp_path / version
            folder.mkdir()
            rows = run_suite(cluster, folder, OCI_VERSION=version, **options)
            print(store, version, count(rows))
            assert set(count(rows)) <= {"Pass", "Disabled"}, [row for row in rows if row[1] not in ("Pass", "Disabled")]
            assert version != "dev" or set(count(rows)) == {"Pass"}
