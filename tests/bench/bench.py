#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""First figures: peers and ours side by side, in one run on one machine; prints medians and ratios.

    python3 tests/bench/bench.py [--build build/release] [--rounds 5] [--seconds 3] [--only single auth tags peer]

Needs nginx, docker-registry, haproxy and wrk (Debian packages). Absolute numbers mean nothing on a shared
machine; the rounds alternate between the peers, so that a slow minute hits all of them.
"""
import argparse
import base64
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b"{}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest_of(layer):
    def descriptor(kind, data):
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    return json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }).encode()


class Server:
    """A process on a port, ended with its group."""

    def __init__(self, name, port, command, env=None, cwd=None):
        self.name, self.port = name, port
        self.started = time.perf_counter()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, env={**os.environ, **(env or {})}, cwd=cwd, stdout=self.log,
                                        stderr=self.log, start_new_session=True)

    def wait(self, path="/v2/"):
        while True:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise SystemExit(f"{self.name} ended: {self.log.read().decode(errors='replace')[-2000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                status = request(self.port, "GET", path)[0]
                if status < 500:
                    self.start_ms = (time.perf_counter() - self.started) * 1000
                    return self
            time.sleep(0.001)

    def rss(self):
        """MiB of the process and its children."""
        total = 0
        for pid in [self.process.pid] + children(self.process.pid):
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+)", text).group(1))
        return total / 1024

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 2)  # ours drain after a 15
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()


def children(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(p) for p in path.read_text().split()] if path.exists() else []


def request(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, dict((k.lower(), v) for k, v in reply.getheaders()), reply.read()
    finally:
        connection.close()


def push_blob(port, name, data):
    """POST, then one PUT: as containerd does. Returns seconds of the PUT."""
    status, headers, _ = request(port, "POST", f"/v2/{name}/blobs/uploads/")
    assert status == 202, status
    where = re.sub(r"^https?://[^/]+", "", headers["location"])
    where += ("&" if "?" in where else "?") + "digest=" + digest(data)
    begun = time.perf_counter()
    status, _, body = request(port, "PUT", where, data, {"Content-Type": "application/octet-stream"})
    assert status == 201, (status, body)
    return time.perf_counter() - begun


def push_image(port, name, tag, layer):
    push_blob(port, name, CONFIG)
    push_blob(port, name, layer)
    manifest = manifest_of(layer)
    status, _, body = request(port, "PUT", f"/v2/{name}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})
    assert status == 201, (status, body)
    return manifest


def wrk(port, path, seconds, *headers):
    more = [part for header in headers for part in ("-H", header)]
    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s", "-H", f"Accept: {MANIFEST}", *more,
                          f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise SystemExit(f"wrk on port {port}: not all answers were 200\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def start_nginx(folder):
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
user root; daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 2048; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000000; open_file_cache max=100;
  default_type {MANIFEST};
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}/www; }} }}""")
    (folder / "www/v2/bench/app/manifests").mkdir(parents=True)
    (folder / "www/v2/index.html").write_text("ok")
    return Server("nginx", port, ["nginx", "-c", str(folder / "nginx.conf"), "-e", f"{folder}/nginx.err"])


def start_registry(folder):
    port = free_port()
    (folder / "registry.yml").write_text(f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}
http: {{addr: 127.0.0.1:{port}}}
""")
    return Server("docker-registry", port, ["docker-registry", "serve", str(folder / "registry.yml")])


def start_ours(folder, build, name, port, extra=None):
    env = {"PORT": str(port), "ZOT_WORKER_ADDRESS": "127.0.0.1", "ZOT_STORAGE_ROOT": str(folder / "store"),
           "ZOT_WORKER_DATA": str(folder / name), "ZOT_LOG_LEVEL": "warn", **(extra or {})}
    return Server(name, port, [str(build / "worker/zot-worker"), "serve"], env)


def start_haproxy(folder, *backends, bind="", server=""):
    """One request to each in turn. bind, server: more words of those lines."""
    port = free_port()
    servers = "\n".join(f"    server w{n} 127.0.0.1:{backend} {server}" for n, backend in enumerate(backends))
    (folder / "haproxy.cfg").write_text(f"""
global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen front
    bind 127.0.0.1:{port} {bind}
{servers}
""")
    return Server("haproxy", port, ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")])


def find_name(ports, key, owner):
    """A repository that this static member owns, asked of the members themselves: only the owner does not proxy."""
    for i in range(100):
        name = f"bench/app{i}"
        before = counter(ports[owner], "zot_proxied_total")
        request(ports[owner], "GET", f"/v2/{name}/tags/list")
        if counter(ports[owner], "zot_proxied_total") == before:
            return name
    raise SystemExit("no repository of this owner found")


def counter(port, name):
    text = request(port, "GET", "/metrics")[2].decode()
    return float(re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M).group(1))


def rounds(n, measures):
    """Each measure once a round, in turn; the medians."""
    seen = {name: [] for name in measures}
    for _ in range(n):
        for name, measure in measures.items():
            seen[name].append(measure())
    return {name: statistics.median(values) for name, values in seen.items()}


def show(title, unit, medians, ours="ours", lower=False):
    print(f"\n{title} ({unit})")
    for name, value in medians.items():
        ratio = medians[ours] / value if value else 0
        if lower:
            ratio = value / medians[ours] if medians[ours] else 0
        note = "" if name == ours else f"   ours is {ratio:.2f} x"
        print(f"  {name:28} {value:12.1f}{note}")


PUT_LUA = """
local n = 0
local stamp = "%s"
request = function()
  n = n + 1
  local body = '%s'
  return wrk.format("PUT", "%s" .. stamp .. "-" .. n, { ["Content-Type"] = "%s" }, body)
end
local bad = 0
response = function(status) if status ~= 201 then bad = bad + 1 end end
done = function(summary) end
"""


def put_manifests(folder, server, name, connections, seconds, layer):
    """New tags a second; each manifest differs by an annotation."""
    stamp = f"t{time.time_ns()}"
    manifest = json.loads(manifest_of(layer))
    manifest["annotations"] = {"n": "NUMBER"}
    body = json.dumps(manifest).replace("NUMBER", f"{stamp}' .. n .. '")
    script = folder / "put.lua"
    script.write_text(PUT_LUA % (stamp, body, f"/v2/{name}/manifests/", MANIFEST))
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{server.port}"],
                         capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise SystemExit(f"{server.name}: not all manifests were taken\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def get_blob(port, path):
    """MB/s of one client."""
    out = subprocess.run(["curl", "-sf", "-o", "/dev/null", "-w", "%{speed_download}", f"http://127.0.0.1:{port}{path}"],
                         capture_output=True, text=True, check=True).stdout
    return float(out) / 1e6


def push_many(server, name, datas, digests):
    """All at once, each by a process of its own; MiB/s."""
    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(len(datas)) as pool:
        list(pool.map(lambda pair: curl_push(server.port, name, *pair), zip(datas, digests)))
    return sum(path.stat().st_size for path in datas) / (1 << 20) / (time.perf_counter() - begun)


def curl_push(port, name, path, name_of_it):
    status, headers, _ = request(port, "POST", f"/v2/{name}/blobs/uploads/")
    assert status == 202, status
    where = re.sub(r"^https?://[^/]+", "", headers["location"])
    where += ("&" if "?" in where else "?") + "digest=" + name_of_it
    subprocess.run(["curl", "-sf", "-o", "/dev/null", "-T", str(path), "-H", "Expect:", f"http://127.0.0.1:{port}{where}"], check=True)


def fresh_files(folder, n, size):
    """n files of random bytes, and their digests."""
    paths, digests = [], []
    for i in range(n):
        data = os.urandom(size)
        paths.append(folder / f"file{i}")
        paths[-1].write_bytes(data)
        digests.append(digest(data))
    return paths, digests


def timed_push(server, folder, n):
    paths, digests = fresh_files(folder, n, 64 << 20)
    return push_many(server, "bench/push", paths, digests)


def bench_single(args, folder):
    layer = os.urandom(1024 * 1024)
    nginx, registry = start_nginx(folder).wait("/v2/index.html"), start_registry(folder).wait()
    ours = start_ours(folder, args.build, "ours", free_port()).wait()
    servers = [nginx, registry, ours]
    try:
        idle = {s.name: s.rss() for s in servers}
        manifest = push_image(registry.port, "bench/app", "v1", layer)
        push_image(ours.port, "bench/app", "v1", layer)
        (folder / "www/v2/bench/app/manifests/v1").write_bytes(manifest)
        path = "/v2/bench/app/manifests/v1"
        show("manifest GET by tag, 64 connections", "requests/s", rounds(args.rounds, {
            s.name: (lambda s=s: wrk(s.port, path, args.seconds)) for s in servers}))
        big = os.urandom(256 << 20)
        (folder / "www/v2/bench/app/blobs").mkdir()
        (folder / "www/v2/bench/app/blobs" / digest(big)).write_bytes(big)
        for server in (registry, ours):
            push_blob(server.port, "bench/app", big)
        for server in servers:
            get_blob(server.port, f"/v2/bench/app/blobs/{digest(big)}")
        show("256 MiB blob GET, one client", "MB/s", rounds(args.rounds, {
            s.name: (lambda s=s: get_blob(s.port, f"/v2/bench/app/blobs/{digest(big)}")) for s in servers}))
        for n in (1, 8):
            show(f"64 MiB push, {n} at once", "MiB/s", rounds(args.rounds, {
                s.name: (lambda s=s: timed_push(s, folder, n)) for s in (registry, ours)}))
        pulled = {s.name: s.rss() for s in servers}
        for n in (1, 16):
            show(f"manifest PUT, new tags, {n} at once into one repository", "requests/s", rounds(args.rounds, {
                s.name: (lambda s=s: put_manifests(folder, s, "bench/app", n, args.seconds, layer)) for s in (registry, ours)}))
        show("start to first answer", "ms", {s.name: s.start_ms for s in servers}, lower=True)
        show("RSS idle", "MiB", idle, lower=True)
        show("RSS after pulls and pushes of blobs", "MiB", pulled, lower=True)
        show("RSS after the run, with the tags of all pushes", "MiB", {s.name: s.rss() for s in servers}, lower=True)
    finally:
        for server in servers:
            server.stop()


def bench_auth(args, folder):
    """Basic, from an htpasswd file with bcrypt."""
    subprocess.run(["htpasswd", "-Bbc", str(folder / "htpasswd"), "ann", "secret"], check=True, capture_output=True)
    plain = start_ours(folder, args.build, "plain", free_port()).wait()
    login = "Authorization: Basic " + base64.b64encode(b"ann:secret").decode()
    try:
        push_image(plain.port, "bench/app", "v1", b"layer")
        guarded = start_ours(folder, args.build, "guarded", free_port(), {
            "ZOT_HTPASSWD": str(folder / "htpasswd"), "CLUSTER_WORKER_NAME": "guarded"}).wait()
        try:
            path = "/v2/bench/app/manifests/v1"
            show("manifest GET by tag, 64 connections, who asks is known", "requests/s", rounds(args.rounds, {
                "ours, nobody asked": lambda: wrk(plain.port, path, args.seconds),
                "ours": lambda: wrk(guarded.port, path, args.seconds, login)}))
        finally:
            guarded.stop()
    finally:
        plain.stop()


def put_among(folder, server, wanted, layer):
    """Pushes a second into a new repository that has so many tags before."""
    name = f"bench/tags-{wanted}-{time.time_ns()}"
    push_image(server.port, name, "v1", layer)
    there = 1
    while there < wanted:
        there += put_manifests(folder, server, name, 1 if wanted == 10 else 16, 1, layer)
    return put_manifests(folder, server, name, 1, 1, layer)


def bench_tags(args, folder):
    """What a push costs with more and more tags there; each measure in a repository of its own, for a second."""
    registry, ours = start_registry(folder).wait(), start_ours(folder, args.build, "ours", free_port()).wait()
    layer = b"layer"
    try:
        medians = rounds(args.rounds, {
            f"{server.name}, {wanted} tags or more": lambda server=server, wanted=wanted: put_among(folder, server, wanted, layer)
            for server, most in ((registry, 2000), (ours, 20000)) for wanted in (10, 2000, 20000) if wanted <= most})
        print("\nmanifest PUT, one at a time (requests/s)")
        for name, rate in medians.items():
            first = medians[name.split(",")[0] + ", 10 tags or more"]
            print(f"  {name:36} {rate:10.1f}   {first / rate:.2f} x of the time with 10")
    finally:
        registry.stop()
        ours.stop()


def bench_peer(args, folder):
    """The same GET through a worker that is not the owner, and through HAProxy before the owner."""
    ports = [free_port(), free_port()]
    cluster = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{p}" for p in ports), "ZOT_CLUSTER_HASH_KEY": "loremipsumdolors",
               "ZOT_CLUSTER_SECRET": os.urandom(32).hex(), "ZOT_CLUSTER_ISOLATED": "false"}
    workers = [start_ours(folder, args.build, f"worker{i}", port, cluster) for i, port in enumerate(ports)]
    for worker in workers:
        worker.wait()
    haproxy = start_haproxy(folder, ports[0]).wait()
    try:
        name = find_name(ports, "loremipsumdolors", 0)
        push_image(ports[0], name, "v1", os.urandom(1024))
        path = f"/v2/{name}/manifests/v1"
        show("manifest GET by tag, 64 connections, one hop", "requests/s", rounds(args.rounds, {
            "owner, no hop": lambda: wrk(ports[0], path, args.seconds),
            "haproxy before the owner": lambda: wrk(haproxy.port, path, args.seconds),
            "ours": lambda: wrk(ports[1], path, args.seconds)}))
    finally:
        for server in workers + [haproxy]:
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    benches = {"single": bench_single, "auth": bench_auth, "tags": bench_tags, "peer": bench_peer}
    parser.add_argument("--only", choices=benches, nargs="*", default=list(benches))
    args = parser.parse_args()
    args.build = args.build.resolve()
    for bench in (benches[name] for name in args.only):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-"))
        try:
            bench(args, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
