# SPDX-License-Identifier: Apache-2.0
"""Client certificates as logins: who is let in, as whom, and what they may do; alone and in a cluster."""
import contextlib
import subprocess

import pytest
import requests

from test_worker_access import write_htpasswd
from test_worker_limits import pair
from worker_process import Worker, await_true, digest

ALL = ["read", "create", "update", "delete"]


class Authority:
    """A CA in a folder, and the certificates that it gave."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=the CA of {folder.name}",
                     "-keyout", "ca.key", "-out", "ca.pem")
        self.ca = str(folder / "ca.pem")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def give(self, name, subject, alternatives=None, usage="clientAuth", expired=False):
        """(certificate, key), as requests takes them."""
        extensions = f"extendedKeyUsage={usage}\n" + (f"subjectAltName={alternatives}\n" if alternatives else "")
        (self.folder / f"{name}.ext").write_text(extensions)
        self.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        if expired:  # only `openssl ca` takes dates
            (self.folder / "index.txt").touch()
            (self.folder / "ca.cnf").write_text("[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index.txt\nrand_serial=yes\ndefault_md=sha256\n"
                                                "policy=p\n[p]\ncommonName=optional\n")
            self.openssl("ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-cert", "ca.pem", "-keyfile", "ca.key", "-startdate", "20200101000000Z",
                         "-enddate", "20200102000000Z", "-extfile", f"{name}.ext", "-notext", "-out", f"{name}.pem")
        else:
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext",
                         "-out", f"{name}.pem")
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates") / "right")


@pytest.fixture(scope="module")
def tls(authority):
    cert, key = authority.give("server", "/CN=127.0.0.1", "IP:127.0.0.1", "serverAuth")
    return {"cert": cert, "key": key, "cacert": authority.ca}


def serve(tmp_path, tls, authority, auth=None, access=None, **more):
    http = {"tls": tls, **({"auth": auth} if auth else {}), **({"accessControl": access} if access else {})}
    return Worker(tmp_path, config={"http": http, **more}, verify=authority.ca)


def status(worker, certificate=None, path="/v2/", method="GET", **more):
    """Over a connection of its own: a certificate belongs to one."""
    with requests.Session() as session:
        session.trust_env, session.verify = False, worker.session.verify
        return session.request(method, worker.url + path, cert=certificate, timeout=30, **more).status_code


def refused(worker, certificate):
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        status(worker, certificate)
    return True


def user_of(worker):
    """Of the newest request that the log tells."""
    return worker.text().rsplit('"user":"', 1)[1].split('"')[0]


def test_a_certificate_is_a_login(tmp_path, authority, tls):
    other = Authority(tmp_path / "other")
    with serve(tmp_path, tls, authority) as worker:
        assert status(worker, authority.give("ann", "/O=acme/CN=ann")) == 200
        await_true(lambda: user_of(worker) == "ann", what="ann in the log")
        assert status(worker) == 401
        assert status(worker, path="/livez") == 200
        # A certificate that does not verify ends the handshake: another CA, expired, for servers only.
        assert refused(worker, other.give("ann", "/CN=ann"))
        assert refused(worker, authority.give("old", "/CN=ann", expired=True))
        assert refused(worker, authority.give("serving", "/CN=ann", usage="serverAuth"))
        # One without the name that is looked for is nobody's.
        assert status(worker, authority.give("nameless", "/O=acme")) == 401
        worker.session.cert = authority.give("bob", "/CN=bob")
        worker.push("lib/app", "v1")


def test_passwords_go_first_and_the_anonymous_come_last(tmp_path, authority, tls):
    write_htpasswd(tmp_path / "htpasswd")
    access = {"repositories": {"**": {"anonymousPolicy": ["read"], "policies": [{"users": ["ann"], "actions": ALL}]}}}
    ann = authority.give("ann", "/CN=ann")
    start = {"method": "POST", "path": "/v2/a/b/blobs/uploads/"}
    with serve(tmp_path, tls, authority, {"htpasswd": {"path": str(tmp_path / "htpasswd")}}, access) as worker:
        assert status(worker, ann, **start) == 202
        assert status(worker, **start) == 401
        assert status(worker, path="/v2/a/b/tags/list") == 404
        assert status(worker, auth=("ann", "annsecret"), **start) == 202
        # Whoever sends a password is who the password says, or nobody.
        assert status(worker, ann, auth=("bob", "bobsecret"), **start) == 403
        assert status(worker, ann, auth=("ann", "wrong"), **start) == 401
        assert status(worker, ann, headers={"Authorization": "Basic Og=="}, **start) == 202
        assert status(worker, authority.give("eve", "/CN=eve"), **start) == 403


@pytest.mark.parametrize("mtls,user", [
    ({"identityAttributes": ["URI"], "uriSanPattern": "^spiffe://example\\.org/workload/([^/]+)$"}, "builder"),
    ({"identityAttributes": ["uri"], "uriSanIndex": 1}, "https://example.org/id"),
    ({"identityAttributes": ["Email"], "emailSanIndex": 1}, "second@example.org"),
    ({"identityAttributes": ["rfc822name"]}, "first@example.org"),
    ({"identityAttributes": ["DNSName"], "dnsSanIndex": 1}, "two.example.org"),
    ({"identityAttributes": ["DN"]}, "CN=robot,O=acme"),
    ({"identityAttributes": ["URI", "CommonName"], "uriSanPattern": "^nothing(.*)"}, "robot")])
def test_the_user_is_what_the_settings_say(tmp_path, authority, tls, mtls, user):
    names = "URI:spiffe://example.org/workload/builder,URI:https://example.org/id,email:first@example.org,email:second@example.org,DNS:one.example.org,DNS:two.example.org"
    robot = authority.give("robot", "/O=acme/CN=robot", names)
    access = {"repositories": {"team/**": {"policies": [{"users": [user], "actions": ALL}]}, "other/**": {"policies": []}}}
    with serve(tmp_path, tls, authority, {"mtls": mtls}, access) as worker:
        assert status(worker, robot, "/v2/team/a/blobs/uploads/", "POST") == 202
        assert status(worker, robot, "/v2/other/a/blobs/uploads/", "POST") == 403


def test_the_owner_of_a_repository_learns_who_it_is(tmp_path, authority, tls):
    ann, bob = authority.give("ann", "/CN=ann"), authority.give("bob", "/CN=bob")
    access = {"repositories": {"**": {"policies": [{"users": ["ann"], "actions": ALL}]}}, "metrics": {"users": ["ann"]}}
    with contextlib.ExitStack() as stack:
        workers, names = pair(tmp_path, stack, {"tls": tls, "accessControl": access}, verify=authority.ca, cluster_tls={"cacert": authority.ca})
        for worker in workers:
            for name in names:
                path = f"/v2/{name}/blobs/uploads/?digest={digest(b'x')}"
                assert status(worker, ann, path, "POST", data=b"x") == 201
                assert status(worker, bob, path, "POST", data=b"x") == 403
                assert status(worker, ann, f"/v2/{name}/tags/list") == 404
                assert status(worker, None, f"/v2/{name}/tags/list") == 401
        await_true(lambda: all(worker.counter("peer_requests_total", cert=ann) > 0 for worker in workers), what="requests of peers that are over")
