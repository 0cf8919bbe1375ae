# SPDX-License-Identifier: Apache-2.0
"""What all tests that speak to a registry need: digests, a small image, free ports, waiting."""
import fcntl
import functools
import hashlib
import json
import os
import random
import socket
import tempfile
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"

# Of static clusters: what their members sign their calls to each other with.
CLUSTER_SECRET = hashlib.sha256(b"the members of a test").hexdigest()

GIVEN = set()


@functools.cache
def ports_file():
    """Whose byte N is locked by the process that was given port N, until it ends: those beside it take others."""
    return os.open(os.path.join(tempfile.gettempdir(), f"zot-test-ports-{os.getuid()}"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def is_free(port):
    if port in GIVEN:
        return False
    try:
        fcntl.lockf(ports_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        with socket.socket() as s:
            s.bind(("127.0.0.1", port))
    except OSError:
        return False
    GIVEN.add(port)
    return True


def free_port(in_a_row=1):
    """The first of so many. Below those that the kernel gives to outgoing connections: a program that is started again must
    get it again."""
    while True:
        first = random.SystemRandom().randrange(20000, 32000 - in_a_row)
        if all(map(is_free, range(first, first + in_a_row))):
            return first


def digest(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def image(layer=b"layer", **more):
    """Bytes of a manifest for this layer and the config {}."""
    def descriptor(kind, data):
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)], **more}).encode()


def await_true(question, seconds=30, what="it"):
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what} did not come true in {seconds} s"
        time.sleep(0.01)
