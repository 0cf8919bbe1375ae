# SPDX-License-Identifier: Apache-2.0
"""Connections that push usage as large as it may be, all the time:  pusher.py PORT CONNECTIONS ROWS SECRET

A line with the statuses so far, counted, after every second; until its input ends. What is sent is made once: only seq differs."""
import base64
import collections
import json
import socket
import sys
import threading
import time

port, connections, rows = (int(a) for a in sys.argv[1:4])
secret = sys.argv[4]
DAY = time.strftime("%Y-%m-%d", time.gmtime())
statuses = collections.Counter()


def body_of(boot):
    usage = [{"apikey": f"k{i:08}" + "x" * 246, "day": DAY, "calls": 1, "bytes_in": 1, "bytes_out": 1} for i in range(rows)]
    return json.dumps({"worker": "pusher", "process": "p" * 32, "boot": boot, "number": 0, "seq": 10**15, "url": "http://127.0.0.1:1", "state": "active", "usage": usage},
                      separators=(",", ":")).encode()


def read_status(f):
    status, length = int(f.readline().split()[1]), 0
    while (line := f.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    f.read(length)
    return status


def push(boot):
    body = bytearray(body_of(boot))
    at = body.index(str(10**15).encode())
    login = base64.b64encode(f"workers:{secret}".encode()).decode()
    head = (f"PUT /api/cluster/quotas HTTP/1.1\r\nHost: leader\r\nAuthorization: Basic {login}\r\nZot-Worker-Name: pusher\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    seq = 10**15
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as s, s.makefile("rb") as f:
                while True:
                    seq += 1
                    body[at:at + 16] = str(seq).encode()
                    s.sendall(head + body)
                    statuses[read_status(f)] += 1
        except (OSError, IndexError, ValueError):
            statuses["closed"] += 1


for n in range(connections):
    threading.Thread(target=push, args=(f"{n:032}",), daemon=True).start()
threading.Thread(target=lambda: [print(json.dumps({str(k): v for k, v in statuses.items()}), flush=True) for _ in iter(lambda: time.sleep(1), 1)], daemon=True).start()
sys.stdin.read()
