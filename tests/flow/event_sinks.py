# SPDX-License-Identifier: Apache-2.0
"""Receivers of events that do as they are told: one of HTTP, and one that speaks as much NATS as a publisher sees."""
import base64
import json
import socket
import ssl
import threading
import time

from registry import await_true, free_port


class Sink:
    """What came, in order: dicts with type, id, data and so on."""

    def __init__(self):
        self.events, self.lock = [], threading.Lock()

    def took(self, event):
        with self.lock:
            self.events.append(event)

    def of(self, name=None):
        with self.lock:
            return [event for event in self.events if name is None or event["data"]["name"] == name]

    def references(self, name):
        """(last word of the type, reference) of each, doubles left out."""
        seen, found = set(), []
        for event in self.of(name):
            if event["id"] not in seen:
                seen.add(event["id"])
                found.append((event["type"].rsplit(".", 1)[-1], event["data"].get("reference")))
        return found

    def await_events(self, count, name=None, seconds=30):
        await_true(lambda: len({event["id"] for event in self.of(name)}) >= count, seconds,
                   what=f"{count} events, have {[(e['type'], e['data']) for e in self.of(name)]}")


class Server(Sink):
    """A port with a thread for each connection; `up` and `down` open and close it."""

    def __init__(self, tls=None):
        super().__init__()
        self.port, self.tls, self.listener, self.open = free_port(), tls, None, set()
        self.up()

    def up(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def down(self):
        # The thread that waits in accept() holds the port until it hears of it.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.talk(connection)
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            with self.lock:
                self.open.discard(connection)
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()


class HttpSink(Server):
    """answer(event) -> a status, or (status, headers), or None: never. Only what is answered 2xx counts as taken; `tries` has all."""

    def __init__(self, answer=lambda event: 204, tls=None):
        self.answer, self.tries, self.heads = answer, [], []
        super().__init__(tls)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/hook"

    def talk(self, connection):
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True)
        stream = connection.makefile("rb")
        while line := stream.readline():
            heads = {}
            while (field := stream.readline().strip()):
                key, value = field.decode().split(":", 1)
                heads[key.lower()] = value.strip()
            body = stream.read(int(heads.get("content-length", 0)))
            event = {**{key[3:]: value for key, value in heads.items() if key.startswith("ce-")}, "data": json.loads(body)}
            with self.lock:
                self.tries.append((time.monotonic(), event))
                self.heads.append((line.decode().strip(), heads, body))
            answer = self.answer(event)
            if answer is None:
                return stream.read(1)
            status, more = answer if isinstance(answer, tuple) else (answer, {})
            if status < 300:
                self.took(event)
            head = "".join(f"{key}: {value}\r\n" for key, value in more.items())
            connection.sendall(f"HTTP/1.1 {status} x\r\n{head}Content-Length: 0\r\n\r\n".encode())


class NatsSink(Server):
    """info: more of INFO. refuse(subject) -> the text of an -ERR, or None. `said` has the lines of the client."""

    def __init__(self, info=None, refuse=lambda subject: None, tls=None, login=lambda connect: None):
        self.info, self.refuse, self.login = info or {}, refuse, login
        self.said, self.connects, self.messages = [], [], []
        super().__init__(tls)
        self.url = f"nats://127.0.0.1:{self.port}"

    def talk(self, connection):
        info = {"server_id": "x", "version": "2.10.0", "headers": True, "max_payload": 1048576, "proto": 1,
                "tls_required": bool(self.tls), **self.info}
        connection.sendall(f"INFO {json.dumps(info)}\r\n".encode())
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True)
        stream = connection.makefile("rb")
        while line := stream.readline().decode().strip():
            word, *rest = line.split(" ")
            self.said.append(line)
            if word == "PING":
                connection.sendall(b"PONG\r\n")
            elif word == "CONNECT":
                self.connects.append(json.loads(line[8:]))
                if (why := self.login(self.connects[-1])):
                    return connection.sendall(f"-ERR '{why}'\r\n".encode())
            elif word in ("PUB", "HPUB"):
                payload = stream.read(int(rest[-1]) + 2)[:-2]
                heads = payload[:int(rest[1])].decode() if word == "HPUB" else ""
                if (why := self.refuse(rest[0])):
                    connection.sendall(f"-ERR '{why}'\r\n".encode())
                    continue
                event = json.loads(payload[len(heads.encode()):])
                self.messages.append((rest[0], heads, event))
                self.took(event)
        return None


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
