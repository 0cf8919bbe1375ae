# SPDX-License-Identifier: Apache-2.0
"""A leader lost its data: the fleet goes on with what it has, everything says so, and each way back that docs/operation.md names."""
import contextlib
import re
import shutil
import subprocess

from cluster import Cluster, Process
from registry import MANIFEST, await_true, free_port


@contextlib.contextmanager
def at_work():
    """Two workers, a repository, an API key that all know."""
    with Cluster(workers=2, haproxy=False, lease_ms=3000) as cluster:
        cluster.key = cluster.new_key()
        cluster.push("team/app", "v1", through=cluster.workers[0])
        await_works(cluster)
        yield cluster


def login(cluster):
    return cluster.key["clientId"], cluster.key["clientSecret"]


def works(cluster):
    """Each worker lets the key in, and gives what was pushed."""
    return all(worker.call("GET", "/v2/team/app/manifests/v1", auth=login(cluster), headers={"Accept": MANIFEST}).status_code == 200 for worker in cluster.workers)


def await_works(cluster):
    await_true(lambda: works(cluster), 60, "the key at all workers")


def complaints(cluster):
    """What the workers' /readyz say of a history; they stay ready."""
    said = []
    for worker in cluster.workers:
        reply = worker.call("GET", "/readyz", auth=("", ""))
        assert reply.status_code == 200, reply.text
        said += re.findall(r"(?m)^history: .*", reply.text)
    return said


def await_refused(cluster):
    await_true(lambda: len(complaints(cluster)) == len(cluster.workers), 60, "the complaint of all workers")


def await_followed(cluster):
    await_true(lambda: not complaints(cluster), 60, "the end of the complaints")
    cluster.wait_active(len(cluster.workers))
    assert cluster.admin("GET", "/api/cluster/members").json()["estranged"] == []


def identity(cluster):
    told = cluster.admin("GET", "/api/cluster/members").json()
    return told["cluster"], told["generation"]


def command(cluster, *arguments):
    done = subprocess.run([cluster.leader.command[0], *map(str, arguments)], env=cluster.leader.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lose(cluster):
    """As on a platform whose disks are new with each start."""
    cluster.leader.stop()
    shutil.rmtree(cluster.folder / "leader")
    cluster.leader.start()


def a_change_arrives(cluster):
    """What an admin does now is at all workers."""
    made = cluster.new_key()
    await_true(lambda: all(w.call("GET", "/v2/", auth=(made["clientId"], made["clientSecret"])).status_code == 200 for w in cluster.workers), 60, "a new key")


def test_nothing_goes_wrong_in_silence_and_a_backup_brings_it_back(tmp_path):
    with at_work() as cluster:
        was = identity(cluster)
        print(command(cluster, "backup", tmp_path / "leader.backup"))
        lose(cluster)
        await_refused(cluster)
        # Clients notice nothing: pulls, pushes, keys.
        assert works(cluster)
        cluster.workers[0].session.auth = login(cluster)
        cluster.push("team/app", "v2", through=cluster.workers[0], layer=b"another")
        # Whoever looks is told, at each place where one looks.
        text = complaints(cluster)[0]
        assert was[0] in text and identity(cluster)[0] in text and cluster.leader.url in text and "zot-leader restore" in text
        estranged = cluster.admin("GET", "/api/cluster/members").json()["estranged"]
        assert {one["name"] for one in estranged} == {"worker-0", "worker-1"} and all(one["complaints"][0].startswith("history: ") for one in estranged)
        assert "zot_leader_estranged_workers 2" in cluster.leader.call("GET", "/metrics").text
        assert "history.refused" in cluster.leader.log.read_text()
        for worker in cluster.workers:
            assert "cluster.complaint" in worker.log.read_text()
        # Over their restart too.
        cluster.workers[1].kill()
        cluster.workers[1].start()
        await_refused(cluster)
        assert works(cluster)
        # The way back.
        cluster.leader.stop()
        print(command(cluster, "restore", tmp_path / "leader.backup"))
        cluster.leader.start()
        assert identity(cluster)[0] == was[0] and identity(cluster)[1] > was[1]
        await_followed(cluster)
        assert works(cluster)
        a_change_arrives(cluster)


def test_without_a_backup_a_worker_s_copy_does():
    with at_work() as cluster:
        was = identity(cluster)
        lose(cluster)
        await_refused(cluster)
        cluster.leader.stop()
        print(command(cluster, "restore", "--from-worker", cluster.workers[0].url))
        # The admin of before signs in, with the password of before.
        cluster.leader.start()
        assert identity(cluster)[0] == was[0]
        await_followed(cluster)
        assert works(cluster)
        a_change_arrives(cluster)


def test_a_new_beginning_is_one_setting_and_good_for_once():
    with at_work() as cluster:
        lose(cluster)
        await_refused(cluster)
        given_up = re.search(r"ZOT_CLUSTER_REPLACES=([0-9a-f]{32})", complaints(cluster)[0])[1]
        cluster.leader.stop()
        cluster.leader.environment["ZOT_CLUSTER_REPLACES"] = given_up
        cluster.leader.start()
        await_followed(cluster)
        await_true(lambda: all(w.call("GET", "/v2/", auth=login(cluster)).status_code == 401 for w in cluster.workers), 60, "that the old key is gone")
        cluster.key = cluster.new_key()
        await_works(cluster)
        # The setting was forgotten there, and the data is lost once more.
        lose(cluster)
        await_refused(cluster)
        assert works(cluster)


def test_an_older_copy_put_back_by_hand_is_refused_and_restored_is_followed(tmp_path):
    with at_work() as cluster:
        cluster.leader.stop()
        shutil.copytree(cluster.folder / "leader", tmp_path / "copy")
        cluster.leader.start()
        cluster.wait_active(2)
        assert cluster.admin("PATCH", f"/api/apikey/{cluster.key['clientId']}", {"enabled": False}).status_code == 200
        await_true(lambda: all(w.call("GET", "/v2/", auth=login(cluster)).status_code == 401 for w in cluster.workers), 60, "the disabled key")
        cluster.leader.kill()
        shutil.rmtree(cluster.folder / "leader")
        shutil.copytree(tmp_path / "copy", cluster.folder / "leader")
        cluster.leader.start()
        await_refused(cluster)
        assert "older copy" in complaints(cluster)[0]
        assert all(w.call("GET", "/v2/", auth=login(cluster)).status_code == 401 for w in cluster.workers), "what was taken away stays so"
        cluster.leader.stop()
        command(cluster, "restore", tmp_path / "copy" / "leader.db")
        cluster.leader.start()
        await_followed(cluster)
        await_works(cluster)


def test_of_two_leaders_with_different_histories_one_is_followed():
    with at_work() as cluster:
        port = free_port()
        second = cluster.add(Process(cluster, "leader-of-others", cluster.leader.command, port, {
            **cluster.leader.environment, "PORT": port, "ZOT_LEADER_DATA": cluster.folder / "others"})).start()
        third = cluster.workers[1]
        third.stop()
        third.environment["CLUSTER_LEADER_URLS"] = f"{second.url},{cluster.leader.url}"
        del third.environment["CLUSTER_LEADER_URL"]
        cluster.leader.stop()
        third.start()
        await_true(lambda: any(second.url in line for line in complaints(cluster)), 60, "the complaint about the second")
        cluster.leader.start()
        cluster.wait_active(2)
        assert works(cluster)
        a_change_arrives(cluster)
