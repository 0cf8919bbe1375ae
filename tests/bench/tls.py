#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS, and a blob without it: nginx, docker-registry and ours in turns of one run; medians, ratios and processor time.

    python3 tests/bench/tls.py [--build build/release] [--rounds 5] [--seconds 2] [--key ecdsa rsa] [--only blob get connect idle push plain]

All of them have the same certificate, and each client the same ciphers: what it chooses by itself, and AES-128-GCM. Processor
time is that of all processes of a server. A connection is one with one small GET over it, as a client makes that
knows nothing, and as one that shows a ticket. Needs nginx, docker-registry, wrk, curl and openssl (Debian packages).
"""
import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import tempfile
import time

from bench import MANIFEST, Server, digest, fresh_files, free_port, manifest_of, push_blob, push_image
from builds import cpu_s

KEYS = {"ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"]}
BIG = 256 << 20


def make_certificate(folder, kind):
    subprocess.run(["openssl", "req", "-x509", *KEYS[kind], "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
                   check=True, capture_output=True)


class Secure(Server):
    """A server that speaks TLS, unless it is told not to."""

    def __init__(self, *args, secure=True, **more):
        super().__init__(*args, **more)
        self.scheme = "https" if secure else "http"

    def url(self, path):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def wait(self, path="/v2/"):
        while subprocess.run(["curl", "-ksf", "-o", "/dev/null", self.url(path)], check=False).returncode != 0:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise SystemExit(f"{self.name} ended: {self.log.read().decode(errors='replace')[-2000:]}")
            time.sleep(0.01)
        return self


def start_nginx(folder, secure=True):
    """As its users have it: sendfile, tickets, a cache of sessions."""
    port, name = free_port(), f"nginx-{secure}"
    (folder / f"{name}.conf").write_text(f"""
user root; daemon off; worker_processes 2; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 16384; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000000; open_file_cache max=100; default_type {MANIFEST};
  ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:SSL:10m; ssl_session_tickets on; ssl_session_timeout 10m;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} {"ssl" if secure else ""} backlog=1024; root {folder}/www; }} }}""")
    return Secure("nginx", port, ["nginx", "-c", f"{folder}/{name}.conf", "-e", f"{folder}/{name}.err"], secure=secure)


def start_registry(folder, secure=True):
    port = free_port()
    tls = f"tls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}" if secure else ""
    (folder / "registry.yml").write_text(f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}
http:
  addr: 127.0.0.1:{port}
  {tls}
""")
    return Secure("docker-registry", port, ["docker-registry", "serve", str(folder / "registry.yml")], secure=secure)


def start_ours(folder, build, secure=True):
    port = free_port()
    env = {"PORT": str(port), "ZOT_WORKER_ADDRESS": "127.0.0.1", "ZOT_STORAGE_ROOT": str(folder / "store"),
           "ZOT_WORKER_DATA": str(folder / "data"), "ZOT_LOG_LEVEL": "warn"}
    if secure:
        env |= {"ZOT_TLS_CERT": str(folder / "cert.pem"), "ZOT_TLS_KEY": str(folder / "key.pem")}
    return Secure("ours", port, [str(build / "worker/zot-worker"), "serve"], env, secure=secure)


def fill(folder, build):
    """The same image and the same blob for all of them, over plain HTTP."""
    layer, big = os.urandom(1024), os.urandom(BIG)
    manifest = manifest_of(layer)
    for server in (start_registry(folder, False).wait(), start_ours(folder, build, False).wait()):
        push_image(server.port, "bench/app", "v1", layer)
        push_blob(server.port, "bench/app", big)
        server.stop()
    www = folder / "www/v2/bench/app"
    (www / "manifests").mkdir(parents=True)
    (www / "blobs").mkdir()
    (www / "manifests/v1").write_bytes(manifest)
    (www / "blobs" / digest(big)).write_bytes(big)
    (folder / "www/v2/index.html").write_text("ok")
    return f"/v2/bench/app/blobs/{digest(big)}"


def rounds(n, servers, measure):
    """{name: (median of what it gives, median of its processor time)}; measure gives (value, processor time)."""
    seen = {server.name: [] for server in servers}
    for at in range(n):
        for server in servers if at % 2 else servers[::-1]:
            seen[server.name].append(measure(server))
    return {name: tuple(statistics.median(column) for column in zip(*values)) for name, values in seen.items()}


def show(title, rate, cost, medians):
    print(f"\n{title}\n  {'':18}{rate:>14}{'ours is':>10}{cost:>22}{'ours is':>10}")
    for name, (value, spent) in medians.items():
        ratios = ("", "") if name == "ours" else (f"{medians['ours'][0] / value:.2f} x", f"{medians['ours'][1] / spent:.2f} x")
        print(f"  {name:18}{value:14.1f}{ratios[0]:>10}{spent:22.1f}{ratios[1]:>10}", flush=True)


def curl(server, path, *more):
    out = subprocess.run(["curl", "-ksf", "-o", "/dev/null", "-w", "%{speed_download} %{time_total}", *more, server.url(path)],
                         capture_output=True, text=True, check=True).stdout
    return tuple(map(float, out.split()))


def get_blob(server, path, *more):
    """MB/s of one client; ms of processor for a GB."""
    before, n = cpu_s(server), 3
    speeds = [curl(server, path, *more)[0] / 1e6 for _ in range(n)]
    return statistics.median(speeds), (cpu_s(server) - before) * 1000 / (n * BIG / 1e9)


def get_manifest(server, path, seconds):
    """Requests a second over 64 connections; us of processor for one."""
    before = cpu_s(server)
    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s", "-H", f"Accept: {MANIFEST}", server.url(path)],
                         capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"{server.name}: not all answers were good\n{out}")
    spent = cpu_s(server) - before
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), spent * 1e6 / int(re.search(r"(\d+) requests in", out).group(1))


class Caller:
    """Makes connections one behind the other, each for one GET; keeps the last ticket where it is to be shown."""

    def __init__(self, server, version, resume):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.minimum_version = self.context.maximum_version = version
        self.server, self.resume, self.session = server, resume, None

    def call(self):
        with socket.create_connection(("127.0.0.1", self.server.port)) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.context.wrap_socket(raw, session=self.session) as s:
                s.sendall(b"GET /v2/index.html HTTP/1.1\r\nHost: x\r\n\r\n" if self.server.name == "nginx" else b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
                assert s.recv(65536).startswith(b"HTTP/1.1 200")
                reused = s.session_reused
                if self.resume:
                    self.session = s.session
                return reused


def connect(server, version, resume, n):
    """Connections a second of one client; us of processor for one."""
    caller = Caller(server, version, resume)
    caller.call()
    before, begun = cpu_s(server), time.perf_counter()
    reused = sum(caller.call() for _ in range(n))
    spent, took = cpu_s(server) - before, time.perf_counter() - begun
    if resume and reused < n * 0.9:
        print(f"  ({server.name} resumed {reused} of {n})")
    return n / took, spent * 1e6 / n


def rss_kib(server):
    return server.rss() * 1024


def hold_idle(server, n):
    """KiB of memory for each connection that had one request and is kept."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    before, held = rss_kib(server), []
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            s = stack.enter_context(context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 30)))
            s.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            s.recv(65536)
            held.append(s)
        return (rss_kib(server) - before) / n


def push(server, folder, at_once):
    """MiB/s of pushes of 64 MiB; ms of processor for a GB."""
    paths, digests = fresh_files(folder, at_once, 64 << 20)
    before, begun = cpu_s(server), time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda pair: push_one(server, *pair), zip(paths, digests)))
    took, spent = time.perf_counter() - begun, cpu_s(server) - before
    return at_once * 64 / took, spent * 1000 / (at_once * (64 << 20) / 1e9)


def push_one(server, path, name):
    out = subprocess.run(["curl", "-ksf", "-X", "POST", "-D", "-", "-o", "/dev/null", server.url("/v2/bench/push/blobs/uploads/")],
                         capture_output=True, text=True, check=True).stdout
    where = re.sub(r"^https?://[^/]+", "", re.search(r"(?i)^location: (\S+)", out, re.M).group(1))
    where += ("&" if "?" in where else "?") + "digest=" + name
    subprocess.run(["curl", "-ksf", "-o", "/dev/null", "-T", str(path), "-H", "Expect:", server.url(where)], check=True)


def bench_key(args, folder, kind, blob):
    make_certificate(folder, kind)
    nginx, registry = start_nginx(folder).wait("/v2/index.html"), start_registry(folder).wait()
    ours = start_ours(folder, args.build).wait()
    servers = [nginx, registry, ours]
    first = kind == args.key[0]  # what a connection's key is does not matter once it is there
    try:
        if first and "blob" in args.only:
            for title, more in (("as they choose", []), ("AES-128-GCM", ["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"])):
                for server in servers:
                    curl(server, blob)
                show(f"TLS: 256 MiB blob, one client, {title}", "MB/s", "ms of processor a GB",
                     rounds(args.rounds, servers, lambda s, more=more: get_blob(s, blob, *more)))
        if first and "get" in args.only:
            show("TLS: manifest GET by tag, 64 connections", "requests/s", "us of processor",
                 rounds(args.rounds, servers, lambda s: get_manifest(s, "/v2/bench/app/manifests/v1", args.seconds)))
        if "connect" in args.only:
            for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
                for resume in (False, True):
                    show(f"{'resumed' if resume else 'new'} connection with one GET, {kind}, {version.name}", "a second", "us of processor",
                         rounds(args.rounds, servers, lambda s, v=version, r=resume: connect(s, v, r, args.connections)))
        if first and "push" in args.only:
            for n in (1, 8):
                show(f"TLS: 64 MiB push, {n} at once", "MiB/s", "ms of processor a GB",
                     rounds(args.rounds, [registry, ours], lambda s, n=n: push(s, folder, n)))
        if first and "idle" in args.only:
            print(f"\nTLS: {args.idle} idle connections, each after one request (KiB each)")
            for server in servers:
                print(f"  {server.name:18}{hold_idle(server, args.idle):10.1f}", flush=True)
    finally:
        for server in servers:
            server.stop()


def bench_plain(args, folder, blob):
    servers = [start_nginx(folder, False).wait("/v2/index.html"), start_registry(folder, False).wait(), start_ours(folder, args.build, False).wait()]
    try:
        for server in servers:
            curl(server, blob)
        show("plain: 256 MiB blob, one client", "MB/s", "ms of processor a GB", rounds(args.rounds, servers, lambda s: get_blob(s, blob)))
    finally:
        for server in servers:
            server.stop()


def end(_number, _frame):
    raise SystemExit("ended by a signal")


def main():
    signal.signal(signal.SIGTERM, end)  # so that what was started ends too
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--idle", type=int, default=400)
    parser.add_argument("--key", choices=KEYS, nargs="*", default=list(KEYS))
    whats = ["blob", "get", "connect", "push", "idle", "plain"]
    parser.add_argument("--only", choices=whats, nargs="*", default=whats)
    args = parser.parse_args()
    args.build = args.build.resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-"))
    try:
        blob = fill(folder, args.build)
        make_certificate(folder, args.key[0])
        for kind in args.key if set(args.only) - {"plain"} else []:
            bench_key(args, folder, kind, blob)
        if "plain" in args.only:
            bench_plain(args, folder, blob)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
