# SPDX-License-Identifier: Apache-2.0
"""Workers on one folder, and what is asked of them when something below them fails."""
import contextlib
import json
import random
import threading

import requests

from worker_process import MANIFEST, Worker, digest, free_port, image

KEY = "0123456789abcdef"


class Member(Worker):
    """What it holds ends with the test."""

    faults = None

    def __exit__(self, kind, *exc):
        if self.faults:
            self.faults.clear()
        if kind:
            self.kill()
        super().__exit__(kind, *exc)


def make(folder, faults, **environment):
    folder.mkdir(exist_ok=True)
    worker = Member(folder=folder, **{"ZOT_SPOOL": folder / "spool", "ZOT_LOG_LEVEL": "info", **(faults.environment if faults else {}),
                                      **environment})
    worker.faults = faults
    return worker


def member(folder, name, store, faults=None, **more):
    """Alone in a ring of its own: it owns each repository, and asks the store before each answer."""
    port = free_port()
    return make(folder / name, faults, port=port, ZOT_STORAGE_ROOT=store, ZOT_CLUSTER_MEMBERS=f"127.0.0.1:{port}",
                ZOT_CLUSTER_HASH_KEY=KEY, **more)


def single(folder, name, store, faults=None, **more):
    """Alone, as it thinks: it trusts what it has read for a while."""
    return make(folder / name, faults, ZOT_STORAGE_ROOT=store, **more)


def manifest(mark, pad=0):
    # Of bytes that are no zeros, and not the same on each page.
    return image(annotations={"mark": str(mark), "pad": random.Random(str(mark)).randbytes(pad // 2).hex()})


def put(worker, name, reference, body):
    return worker.call("PUT", f"/v2/{name}/manifests/{reference}", data=body, headers={"Content-Type": MANIFEST}).status_code


def get(worker, name, reference):
    reply = worker.call("GET", f"/v2/{name}/manifests/{reference}", headers={"Accept": MANIFEST})
    return reply.content if reply.status_code == 200 else reply.status_code


def delete(worker, name, reference):
    return worker.call("DELETE", f"/v2/{name}/manifests/{reference}").status_code


def tags(worker, name):
    """A set, or the status that was no 200."""
    reply = worker.call("GET", f"/v2/{name}/tags/list")
    return set(reply.json()["tags"] or []) if reply.status_code == 200 else reply.status_code


def put_blob(worker, name, data):
    return worker.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest(data)}", data=data).status_code


def get_blob(worker, name, of):
    reply = worker.call("GET", f"/v2/{name}/blobs/{of}")
    return reply.content if reply.status_code == 200 else reply.status_code


def mount(worker, name, of, source):
    return worker.call("POST", f"/v2/{name}/blobs/uploads/?mount={of}&from={source}").status_code


def told(worker, *words, levels=("warn", "error")):
    """The lines of a worker's log that have one of the levels, and all words."""
    lines = []
    for line in worker.text().splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if fields.get("level") in levels and all(word in line for word in words):
            lines.append(line)
    return lines


class Pushed:
    """What was acknowledged in one repository, and what may be there besides."""

    def __init__(self, name):
        self.name, self.there, self.perhaps = name, {}, {}

    def put(self, worker, tag, body):
        """What was answered with 5xx may be there, then or later; 4xx says that it was not done."""
        self.perhaps.setdefault(tag, []).append(body)
        status = put(worker, self.name, tag, body)
        if status == 201:
            self.there[tag], self.perhaps[tag] = body, []
        elif status < 500:
            self.perhaps[tag].remove(body)
        return status

    def check(self, worker):
        found = tags(worker, self.name)
        assert isinstance(found, set), found
        for tag, body in self.there.items():
            assert tag in found, f"{tag} was acknowledged; there are {sorted(found)}"
            got = get(worker, self.name, tag)
            assert got in (body, *self.perhaps[tag]), (tag, got if isinstance(got, int) else digest(got))
            assert get(worker, self.name, digest(body)) == body, tag
        for tag in found - set(self.there):
            got = get(worker, self.name, tag)
            assert not isinstance(got, int), f"{tag} is in the list, and is answered with {got}"
            assert got in self.perhaps.get(tag, []), f"{tag} was refused, and is there"
        return found


class Watcher(threading.Thread):
    """Asks for the tags all the time: what one read had must be in all that follow."""

    def __init__(self, worker, name):
        super().__init__(daemon=True)
        self.worker, self.name, self.seen, self.wrong, self.halt = worker, name, set(), [], threading.Event()
        self.rounds = 0

    def run(self):
        while not self.halt.wait(0.005):
            found = tags(self.worker, self.name)
            if isinstance(found, set):
                if self.seen - found:
                    self.wrong.append(f"{sorted(self.seen - found)} had been there")
                self.seen = found
            elif found != 404 or self.seen:
                self.wrong.append(f"status {found}")
            self.rounds += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.halt.set()
        self.join()


class Call(threading.Thread):
    """A call whose answer is looked at later."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args, self.result = function, args, None
        self.start()

    def run(self):
        # Where the worker dies there is no answer: None.
        with contextlib.suppress(requests.ConnectionError):
            self.result = self.function(*self.args)

    def answer(self, seconds=60):
        self.join(seconds)
        assert not self.is_alive(), "no answer"
        return self.result
