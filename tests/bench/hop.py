#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one hop costs: GET and PUT of a manifest at the owner itself, through HAProxy before the owner, and through a worker that is not the owner.

    python3 tests/bench/hop.py [--build build/release] [--rounds 5] [--seconds 3] [--tls] [--only GET PUT] [--least 0]

Prints medians: requests a second, processor time of all servers for one request, and each against HAProxy. With --tls the workers speak HTTPS to clients and to each
other, and HAProxy ends TLS and begins it anew. Ends with status 1 where the worker's rate is below --least times HAProxy's. Needs haproxy and wrk (Debian packages).
"""
import argparse
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from bench import MANIFEST, counter, free_port, manifest_of, push_image, start_haproxy, start_ours

PUT = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("PUT", "%s" .. n %% 1000, {["Content-Type"] = "%s"}, [[%s]])
end
"""


def cpu_s(servers):
    pids = [server.process.pid for server in servers]
    return sum(int((task / "schedstat").read_text().split()[0]) for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def wrk(url, seconds, *more):
    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s", *more, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise SystemExit(f"{url}: not all answers were good\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), int(re.search(r"(\d+) requests in", out).group(1))


def measure(url, seconds, servers, *more):
    before = cpu_s(servers)
    rate, requests = wrk(url, seconds, *more)
    return rate, (cpu_s(servers) - before) * 1e6 / requests


def certificate(folder):
    """A certificate of 127.0.0.1 that is its own CA."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())


def run(args, folder):
    ports = [free_port(), free_port()]
    scheme = "https" if args.tls else "http"
    env = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{port}" for port in ports), "ZOT_CLUSTER_HASH_KEY": "loremipsumdolors",
           "ZOT_CLUSTER_SECRET": os.urandom(32).hex(), "ZOT_CLUSTER_ISOLATED": "false"}
    with contextlib.ExitStack() as stack:
        def start(env):
            workers = [start_ours(folder, args.build, f"worker{i}", port, env) for i, port in enumerate(ports)]
            for worker in workers:
                stack.callback(worker.stop)
            return workers

        workers = start(env)
        for worker in workers:
            worker.wait()
        name = find_name(ports)
        layer = os.urandom(1024)
        push_image(ports[0], name, "v1", layer)
        if args.tls:
            certificate(folder)
            for worker in workers:
                worker.stop()
            workers = start(dict(env, ZOT_TLS_CERT=f"{folder}/cert.pem", ZOT_TLS_KEY=f"{folder}/key.pem", ZOT_PEER_CA=f"{folder}/cert.pem"))
        haproxy = start_haproxy(folder, ports[0], **({"bind": f"ssl crt {folder}/both.pem", "server": f"ssl verify required ca-file {folder}/cert.pem"} if args.tls else {}))
        stack.callback(haproxy.stop)
        if not args.tls:
            haproxy.wait()
        else:
            await_tls([haproxy] + workers, folder)
        script = folder / "put.lua"
        script.write_text(PUT % (f"/v2/{name}/manifests/t", MANIFEST, manifest_of(layer).decode()))
        ways = {"the owner itself": (ports[0], [workers[0]]), "HAProxy before the owner": (haproxy.port, [workers[0], haproxy]),
                "a worker that is not the owner": (ports[1], workers)}
        more = {"GET": ["-H", f"Accept: {MANIFEST}"], "PUT": ["-s", str(script)]}
        for method in args.only:
            found = {way: [] for way in ways}
            for _ in range(args.rounds):
                for way, (port, servers) in ways.items():
                    found[way].append(measure(f"{scheme}://127.0.0.1:{port}/v2/{name}/manifests/v1", args.seconds, servers, *more[method]))
            yield method, {way: (statistics.median(rate for rate, _ in pairs), statistics.median(us for _, us in pairs)) for way, pairs in found.items()}


def await_tls(servers, folder):
    for server in servers:
        while subprocess.run(["curl", "-s", "--cacert", folder / "cert.pem", f"https://127.0.0.1:{server.port}/v2/"], capture_output=True).returncode:
            if server.process.poll() is not None:
                raise SystemExit(f"{server.name} ended")
            time.sleep(0.05)


def find_name(ports):
    """A repository of the first member: the one that does not send a request for it on."""
    for i in range(100):
        name = f"bench/app{i}"
        before = counter(ports[0], "zot_proxied_total")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", ports[0])) as connection:
            connection.request("GET", f"/v2/{name}/tags/list")
            connection.getresponse().read()
        if counter(ports[0], "zot_proxied_total") == before:
            return name
    raise SystemExit("no repository of this owner found")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--only", nargs="*", choices=["GET", "PUT"], default=["GET", "PUT"])
    parser.add_argument("--least", type=float, default=0)
    args = parser.parse_args()
    args.build = args.build.resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-hop-"))
    bad = False
    try:
        for method, medians in run(args, folder):
            base_rate, base_us = medians["HAProxy before the owner"]
            for way, (rate, us) in medians.items():
                print(f"{method}  {way:32} {rate:9.0f} requests/s  {rate / base_rate:5.2f} x   {us:6.1f} us of servers  {us / base_us:5.2f} x", flush=True)
            bad |= medians["a worker that is not the owner"][0] < args.least * base_rate
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
