# SPDX-License-Identifier: Apache-2.0
"""CLUSTER_BACKUP_... in a bucket of a real S3 server: leaders that write at the same time, a worker that starts from it, a store that
comes back."""
import concurrent.futures
import pathlib
import shutil
import subprocess
import sys

import pytest

import s3_servers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "flow"))

from leader_process import Leader  # noqa: E402
from program import BUILD  # noqa: E402
from test_state_backup import KEY, add, command, logs_in, metric, of_backup, put_away, worker_with  # noqa: E402
from worker_process import await_true  # noqa: E402


@pytest.fixture(scope="module", params=["moto", "radosgw"])
def server(request):
    if request.param == "radosgw" and not shutil.which("radosgw"):
        pytest.skip("no radosgw here")
    with s3_servers.start(request.param) as one:
        yield one


@pytest.fixture
def bucket(server, request):
    """The settings; each test has an object of its own."""
    return {"CLUSTER_BACKUP_ENABLED": "true", "CLUSTER_BACKUP_KIND": "S3", "CLUSTER_BACKUP_INSTANCE_CAN_READ": "true", "CLUSTER_BACKUP_INSTANCE_CAN_WRITE": "true",
            "CLUSTER_BACKUP_EVERY": "100ms", "CLUSTER_BACKUP_S3_ENDPOINT": server.endpoint, "CLUSTER_BACKUP_S3_BUCKET": server.bucket,
            "CLUSTER_BACKUP_S3_REGION": server.region, "CLUSTER_BACKUP_S3_ACCESSKEY": server.access_key, "CLUSTER_BACKUP_S3_SECRET": server.secret_key,
            "CLUSTER_BACKUP_S3_PATH": f"cluster/{request.node.name.split('[')[0]}", "CLUSTER_BACKUP_S3_CHUNK_SIZE": "8388608", "CLUSTER_BACKUP_S3_V4AUTH": "true"}


def content(server, bucket):
    return server.client().get_object(Bucket=server.bucket, Key=bucket["CLUSTER_BACKUP_S3_PATH"])["Body"].read()


def worker_of(bucket, **more):
    return worker_with("", **{**bucket, "CLUSTER_BACKUP_FILE": "", **more})


def test_a_worker_starts_from_it_and_a_lost_store_comes_back(server, bucket):
    bucket.update(CLUSTER_BACKUP_KEY=KEY, CLUSTER_BACKUP_S3_ACL="Private")
    with Leader(**bucket) as leader:
        add(leader, "ann")
        put_away(leader)
        assert content(server, bucket).startswith(b"ZOTBACKUP1") and b"ann" not in content(server, bucket)
        leader.kill()
        with worker_of(bucket) as worker:
            assert logs_in(worker, "ann") and of_backup(worker)
        shutil.rmtree(leader.folder / "data")
        done = subprocess.run([str(BUILD / "leader/zot-leader"), "serve"], env=leader.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "restore --from-backup" in done.stdout + done.stderr
        done = command(leader, "restore", "--from-backup")
        assert done.returncode == 0, done.stderr
        leader.start()
        assert leader.admin("GET", "/api/user/ann").status_code == 200
        add(leader, "ben")
        put_away(leader)


def test_a_wrong_key_or_bucket_is_said_without_the_secret(server, bucket):
    with Leader(**{**bucket, "CLUSTER_BACKUP_S3_SECRET": "not the secret at all"}) as leader:
        add(leader, "ann")
        await_true(lambda: metric(leader, "zot_leader_backup_failures_total") > 0, what="a failure")
        assert "backup.failed" in leader.text() and "not the secret at all" not in leader.text()


def test_the_newest_wins_whoever_writes_when(server, bucket, tmp_path):
    """Two leaders of one history, each with a store of its own at another revision, write at the same time, again and again."""
    with Leader(**bucket) as newer:
        add(newer, "ann")
        put_away(newer)
        newer.stop()
        older = Leader(**bucket)
        shutil.copytree(newer.folder / "data", older.folder / "data")
        newer.start()
        with older, concurrent.futures.ThreadPoolExecutor(2) as pool:
            writes = pool.submit(lambda: [add(newer, f"user{i}") for i in range(30)])
            while not writes.done():
                if metric(older, "zot_leader_backup_revision") == newer.revision():
                    break
            writes.result()
            put_away(newer)
            await_true(lambda: b"user29" in content(server, bucket), what="the newest")
            assert metric(newer, "zot_leader_backup_failures_total") == 0
        # The older one ends after: it writes nothing.
        assert b"user29" in content(server, bucket)
