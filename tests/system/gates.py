# SPDX-License-Identifier: Apache-2.0
"""A port that leads to another one, until it is shut: then nothing listens there, and what was open is cut."""
import contextlib
import socket
import threading

from registry import free_port


class Gate:
    """mute: what comes back from the other side is lost; who asked hears nothing."""

    def __init__(self, to):
        self.to, self.port, self.sockets, self.listener, self.mute = to, free_port(), [], None, False
        self.open()

    def open(self):
        self.mute = False
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
                for a, b, back in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self.pump, args=(a, b, back), daemon=True).start()

    def pump(self, a, b, back):
        with contextlib.suppress(OSError):
            while piece := a.recv(65536):
                if not (back and self.mute):
                    b.sendall(piece)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)

    def shut(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        self.sockets = []
