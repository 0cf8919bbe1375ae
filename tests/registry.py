# SPDX-License-Identifier: Apache-2.0
"""What all tests that speak to a registry need: digests, a small image, free ports, waiting."""
import contextlib
import hashlib
import json
import os
import random
import socket
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"

# Of static clusters: what their members sign their calls to each other with.
CLUSTER_SECRET = hashlib.sha256(b"the members of a test").hexdigest()

GIVEN = set()


def ports():
    """Of this process of the tests: those that run beside it have others."""
    beside, own = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)), int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    share = 12000 // beside
    return range(20000 + own * share, 20000 + (own + 1) * share)


def free_port():
    """Below those that the kernel gives to outgoing connections: a program that is started again must get it again."""
    while True:
        port = random.SystemRandom().choice(ports())
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            if port not in GIVEN:
                GIVEN.add(port)
                return port


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
