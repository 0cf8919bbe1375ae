# SPDX-License-Identifier: Apache-2.0
"""TLS as it looks from outside: what is spoken, and which sessions are resumed where."""
import concurrent.futures
import json
import socket
import ssl
import subprocess

import pytest

from leader_process import Leader
from test_worker_certificates import authority, tls  # noqa: F401 fixtures
from worker_process import CLUSTER_SECRET, Worker, await_true, free_port

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ORDER = {"TLSv1_2": "ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-CHACHA20-POLY1305 ECDHE-RSA-AES256-GCM-SHA384",
           "TLSv1_3": "TLS_AES_128_GCM_SHA256 TLS_CHACHA20_POLY1305_SHA256 TLS_AES_256_GCM_SHA384"}


class Client:
    """Connects anew each time, and shows the last ticket that it was given, wherever that was."""

    def __init__(self, ca, version, **certificate):
        self.context, self.session = ssl.create_default_context(cafile=ca), None
        self.context.minimum_version = self.context.maximum_version = version
        if certificate:
            self.context.load_cert_chain(**certificate)

    def visit(self, port):
        """Was the session resumed?"""
        with self.context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30), server_hostname="127.0.0.1", session=self.session) as s:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
            self.session = s.session
            return s.session_reused


def variables(tls):  # noqa: F811
    return {"ZOT_TLS_CERT": tls["cert"], "ZOT_TLS_KEY": tls["key"]}


@pytest.fixture(scope="module", params=["worker", "leader"])
def server(request, tls, authority):  # noqa: F811
    with (Worker if request.param == "worker" else Leader)(verify=authority.ca, **variables(tls)) as one:
        yield one


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_who_comes_again_is_known(server, authority, version):  # noqa: F811
    client, stranger = Client(authority.ca, version), Client(authority.ca, version)
    assert not client.visit(server.port)
    # Whichever loop has the connection.
    assert all(client.visit(server.port) for _ in range(8))
    assert not stranger.visit(server.port)


def test_a_ticket_that_was_touched_is_none(server, authority):  # noqa: F811
    """openssl shows a session from a file; one bit of the ticket's name or of what it seals, and the handshake is a whole one."""
    def visit(*more):
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-CAfile", authority.ca, *more],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True).stdout
        return b"Reused, TLSv1.2" in said

    saved = server.folder / "session.pem"
    assert not visit("-sess_out", saved)
    assert visit("-sess_in", saved)
    der = ssl.PEM_cert_to_DER_cert(saved.read_text().replace("SSL SESSION PARAMETERS", "CERTIFICATE"))
    touched = 0
    ticket = subprocess.run(["openssl", "sess_id", "-in", saved, "-text", "-noout"], capture_output=True, text=True, check=True).stdout
    first = bytes.fromhex(ticket.split("0000 - ")[1].split("   ")[0].replace("-", " "))
    at = der.index(first)
    for place in (0, 20, 60, 150):
        changed = bytearray(der)
        changed[at + place] ^= 1
        saved.write_text(ssl.DER_cert_to_PEM_cert(bytes(changed)).replace("CERTIFICATE", "SSL SESSION PARAMETERS"))
        assert not visit("-sess_in", saved)
        touched += 1
    assert touched == 4


def test_a_new_certificate_makes_all_begin_anew(tmp_path, tls, authority):  # noqa: F811
    cert, key = tmp_path / "cert", tmp_path / "key"

    def use(pair):
        cert.write_bytes(open(pair[0], "rb").read())
        key.write_bytes(open(pair[1], "rb").read())

    use((tls["cert"], tls["key"]))
    with Worker(verify=authority.ca, ZOT_TLS_CERT=cert, ZOT_TLS_KEY=key) as worker:
        clients = [Client(authority.ca, version) for version in (TLS_1_2, TLS_1_3)]
        assert [(c.visit(worker.port), c.visit(worker.port)) for c in clients] == [(False, True)] * 2
        use(authority.give("newer", "/CN=127.0.0.1", "IP:127.0.0.1", "serverAuth"))
        worker.process.send_signal(1)
        # Each loop takes it in a turn of its own.
        for client in clients:
            await_true(lambda client=client: not client.visit(worker.port), what="a whole handshake")
        await_true(lambda: all(client.visit(worker.port) for client in clients for _ in range(8)), what="tickets of the new certificate")


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_who_is_asked_for_a_certificate_proves_it_each_time(tls, authority, version):  # noqa: F811
    cert, key = authority.give(f"ann-{version}", "/CN=ann")
    with Worker(verify=authority.ca, ZOT_TLS_CA=authority.ca, **variables(tls)) as worker:
        for client in (Client(authority.ca, version, certfile=cert, keyfile=key), Client(authority.ca, version)):
            assert not any(client.visit(worker.port) for _ in range(3))


def test_members_of_a_cluster_know_each_other_s_clients(tls, authority):  # noqa: F811
    ports = [free_port(), free_port()]

    def member(at, secret):
        return Worker(port=ports[at], verify=authority.ca, ZOT_CLUSTER_ISOLATED="false", ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{port}" for port in ports), ZOT_PEER_CA=authority.ca,
                      ZOT_CLUSTER_HASH_KEY="0123456789abcdef", ZOT_CLUSTER_SECRET=secret, **variables(tls))

    newer, older = Client(authority.ca, TLS_1_3), Client(authority.ca, TLS_1_2)
    with member(0, CLUSTER_SECRET) as one:
        with member(1, CLUSTER_SECRET) as two:
            assert not newer.visit(one.port) and not older.visit(one.port)
            assert newer.visit(two.port) and newer.visit(one.port)
            assert not older.visit(two.port)
        with member(1, "another secret of a test") as stranger:
            assert newer.visit(one.port)
            assert not newer.visit(stranger.port)


def scan(port, folder):
    """{what: finding} of testssl.sh: protocols, kinds of ciphers, the order."""
    out = folder / f"{port}.json"
    subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "one", "-p", "-s", "-P", "--jsonfile", out, f"https://127.0.0.1:{port}"],
                   check=True, capture_output=True, timeout=180, stdin=subprocess.DEVNULL)
    return {found["id"]: found["finding"] for found in json.loads(out.read_text())}


def test_a_scanner_finds_nothing_weak(tmp_path, tls, authority):  # noqa: F811
    with Worker(verify=authority.ca, **variables(tls)) as worker, Leader(verify=authority.ca, **variables(tls)) as leader, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda one: scan(one.port, tmp_path), (worker, leader)):
            for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA",
                        "cipherlist_AVERAGE"):
                assert found[old] == "not offered", old
            assert found["TLS1_2"] == "offered" and found["TLS1_3"].startswith("offered")
            assert found["ALPN"] == "http/1.1"
            assert found["cipher_order"] == "server"
            for version, ciphers in ORDER.items():
                assert found[f"cipherorder_{version}"] == ciphers


def test_what_is_slow_for_its_processor_a_client_need_not_take(server, authority):  # noqa: F811
    """One without instructions for AES puts ChaCha20 first, and gets it; otherwise our order counts."""
    def chosen(ciphers):
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3", "-ciphersuites", ciphers, "-CAfile", authority.ca],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True).stdout.decode()
        return said.split("Cipher is ")[1].split()[0]

    aes, better, chacha = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"
    assert chosen(f"{chacha}:{better}:{aes}") == chacha
    assert chosen(f"{better}:{chacha}:{aes}") == aes
    assert chosen(better) == better
