# SPDX-License-Identifier: Apache-2.0
"""A worker whose connections push usage as large as it may be, all the time:  pusher.py PORT CONNECTIONS ROWS SECRET

When its input ends it prints the statuses of the answers, counted. What is sent is made once: only seq differs."""
import base64
import collections
import json
import socket
import sys
import threading
import time

FIRST = 10**15  # seq: all have as many digits
NAME_BYTES = 255


def login(secret):
    return "Basic " + base64.b64encode(f"workers:{secret}".encode()).decode()


def body_of(boot, rows):
    day = time.strftime("%Y-%m-%d", time.gmtime())
    usage = [{"apikey": f"k{i:08}".ljust(NAME_BYTES, "x"), "day": day, "calls": 1, "bytes_in": 1, "bytes_out": 1} for i in range(rows)]
    return json.dumps({"worker": "pusher", "process": "p" * 32, "boot": boot, "seq": FIRST, "url": "http://127.0.0.1:1", "state": "active", "usage": usage}).encode()


def read_status(file):
    status, length = int(file.readline().split()[1]), 0
    while (line := file.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    file.read(length)
    return status


def push(port, secret, rows, boot, statuses):
    body = bytearray(body_of(boot, rows))
    at = body.index(str(FIRST).encode())
    head = (f"PUT /api/cluster/quotas HTTP/1.1\r\nHost: leader\r\nAuthorization: {login(secret)}\r\nZot-Worker-Name: pusher\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    seq = FIRST
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as s, s.makefile("rb") as file:
                while True:
                    seq += 1
                    body[at:at + len(str(seq))] = str(seq).encode()
                    s.sendall(head + body)
                    statuses[str(read_status(file))] += 1
        except (OSError, IndexError, ValueError):
            statuses["closed"] += 1
            time.sleep(0.01)


def main():
    port, connections, rows, secret = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    statuses = collections.Counter()
    for n in range(connections):
        threading.Thread(target=push, args=(port, secret, rows, f"{n:032}", statuses), daemon=True).start()
    sys.stdin.read()
    print(json.dumps(dict(statuses)))


if __name__ == "__main__":
    main()
