# SPDX-License-Identifier: Apache-2.0
"""A port that leads to another one, until it is shut: then nothing listens there, and what was open is cut. Or slow, or worse."""
import contextlib
import socket
import threading
import time

from registry import free_port

DRIP_S = 0.5


class Gate:
    """What it does with what goes through, from now on and on every connection:

    mute: what comes back from the other side is lost; who asked hears nothing
    late_s: what comes back comes so much later
    half: of each answer one byte comes, and then nothing
    drip: what comes back comes byte by byte, one each DRIP_S
    deaf: nothing goes through in either direction, and what is sent is lost
    holds: what is sent is kept until it holds no more, and goes through then, even if nobody waits for the answer
    """

    def __init__(self, to):
        self.to, self.port, self.sockets, self.listener = to, free_port(), [], None
        self.changed = threading.Condition()
        self.open()

    def pass_all(self):
        with self.changed:
            self.mute = self.half = self.drip = self.deaf = self.holds = False
            self.late_s = 0
            self.changed.notify_all()

    def open(self):
        self.pass_all()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    client.close()
                    continue
                self.sockets = [s for s in self.sockets if s.fileno() >= 0] + [client, server]
                for a, b, move in ((client, server, self.there), (server, client, self.back)):
                    threading.Thread(target=self.pump, args=(a, b, move), daemon=True).start()

    def pump(self, a, b, move):
        with contextlib.suppress(OSError):
            while piece := a.recv(65536):
                move(b, piece)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)

    def there(self, server, piece):
        with self.changed:
            while self.holds:
                self.changed.wait()
        if not self.deaf:
            server.sendall(piece)

    def back(self, client, piece):
        if self.deaf or self.mute:
            return
        if self.half:
            client.sendall(piece[:1])
            return
        while self.drip and piece:
            client.sendall(piece[:1])
            piece = piece[1:]
            time.sleep(DRIP_S)
        time.sleep(self.late_s)
        client.sendall(piece)

    def shut(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        self.sockets = []
        self.pass_all()
