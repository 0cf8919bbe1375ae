# SPDX-License-Identifier: Apache-2.0
"""Calls of a running program that fail when a test says so; see faults.c.

    faults = Faults(tmp_path / "faults")
    with Worker(**faults.environment) as worker:
        rule = faults.add("fdatasync", "/index.log$", fail(errno.EIO))
        ...
        rule.await_moment("fail")

Nothing is waited for by time: a rule may hold its call until it is released, and each time that a rule takes effect is
told in a file.
"""
import collections
import itertools
import mmap
import os
import pathlib
import struct
import subprocess
import tempfile

from registry import await_true

SOURCE = pathlib.Path(__file__).with_name("faults.c")
PAGE = 65536
RULES_AT = 24
HOLD = 60_000  # ms: until it is released

Event = collections.namedtuple("Event", "rule moment call inode offset result data path")


def fail(errno):
    return f"fail:{errno}"


def late(errno):
    """Made, and said to have failed."""
    return f"late:{errno}"


def short(size, errno):
    """Of a write only so many bytes are written; the call that would write the rest fails."""
    return f"short:{size}:{errno}"


GRANT, WAIT, TRACE = "grant", "wait", "trace"


def library():
    """Built once a run."""
    global built
    if not built:
        folder = tempfile.TemporaryDirectory(prefix="zot-faults-")
        path = pathlib.Path(folder.name) / "faults.so"
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, SOURCE, "-ldl"],
                       check=True)
        built = folder, path
    return built[1]


built = None


class Rule:
    def __init__(self, faults, number, text):
        self.faults, self.number, self.text = faults, number, text

    def events(self, moment=None):
        return [e for e in self.faults.events() if e.rule == self.number and moment in (None, e.moment)]

    def await_moment(self, moment, times=1, seconds=30):
        await_true(lambda: len(self.events(moment)) >= times, seconds, f"{times} {moment} of the rule {self.text}")

    def release(self):
        """Gone from now on; a call that it holds goes on, and meets what the rule says."""
        self.faults.remove(self)


class Faults:
    """The rules, and the clocks, of the programs that are started with its environment."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.write_bytes(bytes(PAGE))
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), PAGE)
        self.numbers = itertools.count(1)
        self.rules = []

    @property
    def environment(self):
        return {"LD_PRELOAD": str(library()), "FAULTS": str(self.path)}

    def add(self, call, match, what, after=0, times=1, hold=0, least=0):
        """match: part of the path, or its end where it ends in $. times 0: always. hold: ms, at most. least: bytes of a write."""
        number = next(self.numbers)
        rule = Rule(self, number, f"{number} {call} {match} {what} after={after} times={times} hold={hold} least={least}")
        self.rules.append(rule)
        self.write()
        return rule

    def remove(self, rule):
        if rule in self.rules:
            self.rules.remove(rule)
            self.write()

    def clear(self):
        """All but those that only trace."""
        self.rules = [rule for rule in self.rules if f" {TRACE} " in rule.text]
        self.write()

    def write(self):
        text = "\n".join(rule.text for rule in self.rules).encode() + b"\0"
        assert len(text) <= PAGE - RULES_AT
        version = struct.unpack_from("<Q", self.page, 0)[0]
        struct.pack_into("<Q", self.page, 0, version + 1)
        self.page[RULES_AT:RULES_AT + len(text)] = text
        struct.pack_into("<Q", self.page, 0, version + 2)

    def lag(self, clocks=None, wall=None):
        """Seconds that the clocks since the boot, and the wall clock, are behind."""
        if clocks is not None:
            struct.pack_into("<q", self.page, 8, round(clocks * 1e6))
        if wall is not None:
            struct.pack_into("<q", self.page, 16, round(wall * 1e6))

    def events(self):
        told = pathlib.Path(f"{self.path}.events")
        lines = told.read_text().splitlines() if told.exists() else []
        fields = [line.split(" ", 7) for line in lines if line.count(" ") >= 7]
        return [Event(int(f[0]), f[1], f[2], *(int(n) for n in f[3:7]), f[7]) for f in fields]
