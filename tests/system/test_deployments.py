# SPDX-License-Identifier: Apache-2.0
"""The ways to deploy that deploy/ has, but for those of test_deploy.py: brought up as they lie there, pushed to, pulled from, one worker killed."""
import contextlib
import json
import os
import pathlib
import subprocess

import requests

from cluster import BUILD, Cluster, Process
from registry import MANIFEST, await_true, digest, free_port, image
from test_deploy import free_base, run

HERE = pathlib.Path(__file__).parents[2]
DEPLOY = HERE / "deploy"


class Behind(Cluster):
    """Three workers behind the HAProxy of a file of deploy/."""

    def __init__(self, file):
        self.file = file
        super().__init__(lease_ms=2000)

    def open_haproxy(self):
        port = free_port()
        text = (DEPLOY / self.file).read_text()
        assert text.count("    bind :5000\n") == 1
        text = text.replace("    bind :5000\n", f"    bind 127.0.0.1:{port}\n").replace("global\n", f"global\n    stats socket {self.folder}/haproxy.stats\n")
        for i, worker in enumerate(self.workers):
            assert text.count(f"127.0.0.1:{8081 + i}") == 1
            text = text.replace(f"server worker-{i + 1} 127.0.0.1:{8081 + i}", f"server {worker.name} 127.0.0.1:{worker.port}")
        (self.folder / "haproxy.cfg").write_text(text)
        return self.add(Process(self, "haproxy", ["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")], port, {})).start()


def test_haproxy_with_a_cookie():
    """Who keeps it stays at one worker, until that one is gone."""
    with Behind("haproxy-cookie.cfg") as cluster:
        for worker in cluster.workers:
            await_true(lambda: cluster.is_up_at_haproxy(worker), 30, "up at HAProxy")
        body = cluster.push("lib/app", "v1", cluster.front)
        mine = cluster.front.session.cookies["registry-worker"]
        for _ in range(6):
            assert cluster.front.call("GET", "/v2/lib/app/manifests/v1").content == body
        assert cluster.front.session.cookies["registry-worker"] == mine
        bare = {requests.get(cluster.front.url + "/v2/", timeout=30).cookies["registry-worker"] for _ in range(6)}
        assert len(bare) == 3, "who keeps none is served in turn"
        at = int(mine.rpartition("-")[2]) - 1
        cluster.workers[at].kill()
        assert cluster.front.call("GET", "/v2/lib/app/manifests/v1").content == body
        cluster.push("lib/app", "v2", cluster.front)


def test_dns_with_an_address_for_each_worker():
    """One name, one port; the client takes the next address when one refuses."""
    port, addresses = free_port(), ["127.0.1.1", "127.0.1.2", "127.0.1.3"]
    with Cluster(workers=0, haproxy=False, lease_ms=2000) as cluster:
        for i, address in enumerate(addresses):
            worker = cluster.worker(f"worker-{i}", PORT=port, ZOT_WORKER_ADDRESS=address, CLUSTER_SELF_ADDRESS=f"http://{address}:{port}")
            worker.port, worker.url = port, f"http://{address}:{port}"
            cluster.workers.append(worker.start())
        cluster.wait_active(3)
        body = cluster.push("lib/app", "v1", cluster.workers[0])

        def pull():
            out = subprocess.run(["curl", "-sS", "--fail", "-u", f"{cluster.user}:{cluster.password}", "--resolve", f"registry.test:{port}:{','.join(addresses)}",
                                  f"http://registry.test:{port}/v2/lib/app/manifests/v1"], capture_output=True, timeout=60)
            assert out.returncode == 0, out.stderr
            return out.stdout

        assert pull() == body
        for worker in cluster.workers[:2]:
            worker.kill()
            assert pull() == body


@contextlib.contextmanager
def static_members(folder):
    """deploy/static, with folders and ports of this test."""
    ports = [free_port() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        processes = []
        for i in range(3):
            text = (DEPLOY / f"static/member-{i + 1}.json").read_text()
            for at, port in enumerate(ports):
                text = text.replace(f"900{at + 1}", str(port))
            text = text.replace("/srv/registry", str(folder / f"registry-{i}")).replace("/var/lib/zot-worker", str(folder))
            file = folder / f"member-{i + 1}.json"
            file.write_text(json.dumps(json.loads(text)))
            environment = {"PATH": os.environ["PATH"], "ZOT_CLUSTER_SECRET": "a secret of this test alone", "CLUSTER_DRAIN_DELAY": "0"}
            process = subprocess.Popen([str(BUILD / "worker/zot-worker"), "serve", str(file)], env=environment, stdout=open(folder / f"{i}.log", "wb"),
                                       stderr=subprocess.STDOUT)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url in urls:
            await_true(lambda: is_ready(url), 40, f"{url} ready")
        yield urls, processes


def is_ready(url):
    with contextlib.suppress(requests.RequestException):
        return requests.get(url + "/readyz", timeout=5).status_code == 200
    return False


def push(url, name, tag, layer=b"layer"):
    for data in (b"{}", layer):
        reply = requests.post(f"{url}/v2/{name}/blobs/uploads/", params={"digest": digest(data)}, data=data, timeout=30)
        assert reply.status_code == 201, reply.text
    reply = requests.put(f"{url}/v2/{name}/manifests/{tag}", data=image(layer), headers={"Content-Type": MANIFEST}, timeout=30)
    assert reply.status_code == 201, reply.text


def test_static_members_of_files(tmp_path):
    with static_members(tmp_path) as (urls, processes):
        for i in range(6):
            push(urls[i % 3], f"lib/app{i}", "v1")
        for url in urls:
            for i in range(6):
                assert requests.get(f"{url}/v2/lib/app{i}/tags/list", timeout=30).json()["tags"] == ["v1"]
            assert requests.get(f"{url}/v2/_catalog", timeout=30).json()["repositories"] == [f"lib/app{i}" for i in range(6)]
        # A machine each: what it had is away with it, and nothing else.
        away = {name for name in (f"lib/app{i}" for i in range(6)) if (tmp_path / "registry-0" / name / "oci-layout").exists()}
        processes[0].kill()
        for name in (f"lib/app{i}" for i in range(6)):
            reply = requests.get(f"{urls[2]}/v2/{name}/tags/list", timeout=30)
            if name in away:
                assert reply.status_code == 503 and urls[0].partition("//")[2] in reply.text, reply.text
            else:
                push(urls[1], name, "v2")
                assert requests.get(f"{urls[2]}/v2/{name}/tags/list", timeout=30).json()["tags"] == ["v1", "v2"]
        assert 0 < len(away) < 6


def test_led_and_isolated(tmp_path):
    """deploy/up with a folder of its own for each worker."""
    environment = {"ZOT_DATA": str(tmp_path / "data"), "BASE_PORT": str(free_base()), "TMPDIR": str(tmp_path), "ZOT_CLUSTER_ISOLATED": "true"}
    try:
        text = run("up", environment).stdout
        assert "a folder of its own" in text
        password = text.split("password   ")[1].split()[0]
        base = int(environment["BASE_PORT"])
        urls = [f"http://admin:{password}@127.0.0.1:{base + i}" for i in (1, 2, 3)]
        leader = f"http://admin:{password}@127.0.0.1:{base}/api/cluster/"
        ring = requests.get(leader + "ring", timeout=10).json()
        assert [m["state"] for m in ring["members"]] == ["active"] * 3
        await_true(lambda: all(m["revision"] >= ring["revision"] for m in requests.get(leader + "members", timeout=10).json()["members"]), what="the ring at all")
        names = [f"lib/app{i}" for i in range(36)]
        for i, name in enumerate(names):
            push(urls[i % 3], name, "v1")
        for url in urls:
            for name in names:
                assert requests.get(f"{url}/v2/{name}/tags/list", timeout=30).json()["tags"] == ["v1"]
        folders = [{name for name in names if (tmp_path / f"data/worker-{i}/registry" / name / "index.json").exists() or
                    (tmp_path / f"data/worker-{i}/registry" / name / "index.log").exists()} for i in (1, 2, 3)]
        assert sorted(name for folder in folders for name in folder) == sorted(names), "each at one of them"
        assert sum(map(bool, folders)) == 3
        assert run("up", {**environment, "ZOT_CLUSTER_ISOLATED": "maybe"}, check=False).returncode == 1
    finally:
        run("down", environment)
