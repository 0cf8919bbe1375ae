#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pulls of a large blob from a bucket: without and with the cache, beside nginx as a proxy before the same bucket, and curl straight from it.

    python3 tests/bench/s3_pulls.py [BUILD] [--rounds 7] [--mib 256] [--tls]

The bucket is nginx with the object as a file; what else a worker asks of a bucket is answered by a server in memory behind it. Each round has each of them
once, in turn; medians of MB/s and of milliseconds of processor for each GB, of the worker (or nginx as the proxy) alone. "bare splice" is splice_floor.c: what a process between
the two costs that does nothing else, on the same cores. Asked: cold no less than nginx as a proxy, in rate and processor time, and 0.9 of curl's rate or as much as a bare splice;
cached 0.9 of a worker on a folder. Then 100 clients at once for one blob that is not cached: how many
times the bucket is asked for its bytes. "filling" is the first pull of a blob that the cache then has, another one each time: the worker reads, hashes and writes all of it.
--tls: clients speak TLS to the worker and to nginx.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from bench import MANIFEST, Server, digest, free_port, manifest_of, start_ours
from builds import cpu_s

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / folder) for folder in ("system", "")]
from s3_faults import Faults  # noqa: E402
from s3_memory import Memory  # noqa: E402
from s3_sink import build as build_program  # noqa: E402

NAME = "bench/app"


def nginx(folder, name, server):
    port = free_port()
    (folder / name).mkdir()
    (folder / f"{name}.conf").write_text(f"""
user root; daemon off; worker_processes 2; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 2048; }}
http {{ log_format asked "$request_method $uri $http_range"; access_log {folder}/{name}.log asked; sendfile on; keepalive_requests 1000000000;
  client_body_temp_path {folder}/{name}/t1; proxy_temp_path {folder}/{name}/t2; fastcgi_temp_path {folder}/{name}/t3;
  uwsgi_temp_path {folder}/{name}/t4; scgi_temp_path {folder}/{name}/t5;
  {server.replace("PORT", str(port))} }}""")
    return Server(name, port, ["nginx", "-c", str(folder / f"{name}.conf"), "-e", f"{folder}/{name}.err"])


def curl(url, *more):
    """Seconds of a client that throws the bytes away."""
    out = subprocess.run(["curl", "-skf", "-o", "/dev/null", *more, "-w", "%{time_total}", url], capture_output=True, text=True, check=True).stdout
    return float(out)


def put_object(folder, data, name=NAME):
    path = folder / "www/zot" / name / "blobs" / digest(data).replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return digest(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build", nargs="?", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--tls", action="store_true")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-"))
    servers, scheme, tls, listen = [], "http", {}, ""
    if args.tls:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                        "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
        scheme, listen = "https", " ssl"
        tls = {"ZOT_TLS_CERT": str(folder / "cert.pem"), "ZOT_TLS_KEY": str(folder / "key.pem")}
    keys = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;" if args.tls else ""
    memory = Memory(delay_s=0)
    with Faults(memory) as faults:
        try:
            bucket = nginx(folder, "bucket", f"server {{ listen 127.0.0.1:PORT; root {folder}/www; location / {{ try_files $uri @rest; }} "
                                             f"location @rest {{ proxy_pass {faults.endpoint}; }} client_max_body_size 0; }}")
            servers.append(bucket.wait("/zot/"))
            data = os.urandom(args.mib << 20)
            key = f"/zot/{NAME}/blobs/{put_object(folder, data).replace(':', '/')}"
            path = f"/v2/{NAME}/blobs/{digest(data)}"
            proxy = nginx(folder, "proxy", f"upstream bucket {{ server 127.0.0.1:{bucket.port}; keepalive 16; }} server {{ listen 127.0.0.1:PORT{listen}; {keys} "
                                           "location / { proxy_pass http://bucket; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_max_temp_file_size 0; } }")
            servers.append(proxy)
            port = free_port()
            floor = Server("floor", port, [str(build_program("splice_floor", folder)), str(port), str(bucket.port)])
            servers.append(floor)
            environment = {**memory.environment(f"http://127.0.0.1:{bucket.port}"), **tls}
            cold = start_ours(folder, args.build, "cold", free_port(), environment)
            cached = start_ours(folder, args.build, "cached", free_port(),
                                {**environment, "ZOT_CACHE": str(folder / "cache"), "ZOT_CACHE_SIZE": "8GiB"})
            local = start_ours(folder, args.build, "local", free_port(), tls)
            servers += [cold, cached, local]
            for server in (cold, cached, local):
                while True:
                    try:
                        subprocess.run(["curl", "-skf", "-o", "/dev/null", f"{scheme}://127.0.0.1:{server.port}/readyz"], check=True)
                        break
                    except subprocess.CalledProcessError:
                        time.sleep(0.05)
            stored = folder / "store" / NAME / "blobs" / digest(data).replace(":", "/")
            stored.parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / "www/zot" / NAME / "blobs" / digest(data).replace(":", "/"), stored)

            def manifest(*method):
                """A pull begins with it: the view of the repository is in memory then, and known to be the newest."""
                subprocess.run(["curl", "-skf", "-o", "/dev/null", *method, f"{scheme}://127.0.0.1:{cached.port}/v2/{NAME}/manifests/v1"], check=True)

            manifest("-X", "PUT", "-H", f"Content-Type: {MANIFEST}", "--data-binary", manifest_of(b""))
            curl(f"{scheme}://127.0.0.1:{cached.port}{path}")
            ways = {"curl straight": (None, f"http://127.0.0.1:{bucket.port}{key}"),
                    "a bare splice": (floor, f"http://127.0.0.1:{floor.port}{key}"),
                    "nginx as a proxy": (proxy, f"{scheme}://127.0.0.1:{proxy.port}{key}"),
                    "ours, cold": (cold, f"{scheme}://127.0.0.1:{cold.port}{path}"),
                    "ours, cached": (cached, f"{scheme}://127.0.0.1:{cached.port}{path}"),
                    "ours on a folder": (local, f"{scheme}://127.0.0.1:{local.port}{path}")}
            seen = {way: [] for way in [*ways, "ours, filling"]}
            for _ in range(args.rounds):
                fresh = data[:-8] + os.urandom(8)
                put_object(folder, fresh)
                manifest()
                before = cpu_s(cached)
                seconds = curl(f"{scheme}://127.0.0.1:{cached.port}/v2/{NAME}/blobs/{digest(fresh)}")
                seen["ours, filling"].append((len(data) / 1e6 / seconds, (cpu_s(cached) - before) * 1000 / (len(data) / 1e9)))
                (folder / "www/zot" / NAME / "blobs" / digest(fresh).replace(":", "/")).unlink()
                for way, (server, url) in ways.items():
                    manifest()
                    before = cpu_s(server) if server else 0
                    seconds = [curl(url, *(["-H", "Connection: close"] if server is floor else [])) for _ in range(3)]
                    spent = cpu_s(server) - before if server else 0
                    seen[way].append((len(data) / 1e6 / statistics.median(seconds), spent * 1000 / (3 * len(data) / 1e9)))
            medians = {way: tuple(statistics.median(column) for column in zip(*values)) for way, values in seen.items()}
            for way, (rate, spent) in medians.items():
                print(f"  {way:20} {rate:8.0f} MB/s   {spent:7.0f} ms of processor a GB")
            small = os.urandom(64 << 20)
            manifest()
            begun, where = time.perf_counter(), f"{scheme}://127.0.0.1:{cached.port}/v2/{NAME}/blobs/{put_object(folder, small)}"
            with concurrent.futures.ThreadPoolExecutor(100) as many:
                list(many.map(curl, [where] * 100))
            seconds = time.perf_counter() - begun
            # Where the view of the repository may not be answered from memory any more each asks for one byte: that proves that it is there.
            lines = [line for line in (folder / "bucket.log").read_text().splitlines() if digest(small)[7:] in line]
            proofs = sum(line.endswith("bytes=0-0") for line in lines)
            asked = len(lines) - proofs
            print(f"  100 clients at once for 64 MiB that are not cached: {asked} request(s) to the bucket for bytes, {proofs} for a proof, {100 * len(small) / 1e6 / seconds:.0f} MB/s to all of them")
            least = min(0.9, medians["a bare splice"][0] / medians["curl straight"][0])
            wanted = {"cold / curl straight, rate": (medians["ours, cold"][0] / medians["curl straight"][0], least),
                      "cold / nginx, rate": (medians["ours, cold"][0] / medians["nginx as a proxy"][0], 1.0),
                      "nginx / cold, processor": (medians["nginx as a proxy"][1] / medians["ours, cold"][1], 1.0),
                      "cached / folder, rate": (medians["ours, cached"][0] / medians["ours on a folder"][0], 0.9),
                      "one request of 100": (1 / asked, 1.0)}
            for what, (found, least) in wanted.items():
                print(f"  {what:28} {found:.2f}, wanted {least:.2f}{'' if found >= least else '   MISSED'}")
            sys.exit(any(found < least for found, least in wanted.values()))
        finally:
            for server in servers:
                server.stop()
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
