# SPDX-License-Identifier: Apache-2.0
"""A real Redis for a test: what it has acknowledged is on its disk (appendfsync always). It may be killed, started again, and asked.

    with RedisServer(folder) as redis:
        redis.url                     what REDIS_URL is to be
        redis.call("CONFIG", "SET", "maxmemory", "1mb")
        redis.kill(); redis.start()
"""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess

from registry import await_true, free_port

SETTINGS = {"save": "", "appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "bind": "127.0.0.1", "daemonize": "no",
            "protected-mode": "no"}


def encode(words):
    parts = [str(word).encode() if not isinstance(word, bytes) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def decode(stream):
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b"$":
        return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return None if rest == b"-1" else [decode(stream) for _ in range(int(rest))]
    if not kind:
        raise OSError("the connection is closed")
    return int(rest) if kind == b":" else rest.decode()


class RedisServer:
    def __init__(self, folder, port=None, login=(), **settings):
        """login: (password,) or (user, password), with which it is asked here."""
        self.folder, self.port, self.process, self.login = pathlib.Path(folder), port or free_port(), None, login
        self.settings = {**SETTINGS, **{name.replace("_", "-"): value for name, value in settings.items()}}
        self.url = f"redis://127.0.0.1:{self.port}"

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.start()

    def __exit__(self, *_):
        self.end()

    def start(self):
        arguments = [word for name, value in self.settings.items() for word in (f"--{name}", str(value))]
        with open(self.folder / "redis.log", "ab") as log:
            self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--dir", str(self.folder), *arguments], stdout=log, stderr=log,
                                            start_new_session=True)
        await_true(self.answers, 30, "an answer of Redis")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()[-2000:]
        with contextlib.suppress(OSError, RuntimeError):
            return self.call("PING") == "PONG"

    def call(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s, s.makefile("rb") as stream:
            if self.login:
                s.sendall(encode(("AUTH", *self.login)))
                decode(stream)
            s.sendall(encode(words))
            return decode(stream)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        if self.process and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
