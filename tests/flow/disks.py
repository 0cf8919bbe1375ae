# SPDX-License-Identifier: Apache-2.0
"""File systems in files, and what a power cut leaves of them.

    with Disks(tmp_path) as disks:
        disk = disks.make("ext4", 96)
        ...
        cut = disks.cut(disk)   # what the file below has just now: what was only in memory is not there

The file that a disk is made of lies on a tmpfs. What was not yet written to it is lost, what its file system keeps of that is for
its journal to say. A copy is taken only when two looks at the file agree, so it is of one moment.
"""
import pathlib
import shutil
import subprocess

import pytest

TEMPLATES = {}
# xfs: its least. The log of either is small, so that it wraps.
MAKE = {
    "ext4": (64, ["mkfs.ext4", "-q", "-m", "0", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]),
    # Without a journal a failed write does not end in a read-only file system.
    "ext4-bare": (64, ["mkfs.ext4", "-q", "-m", "0", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard"]),
    "xfs": (300, ["mkfs.xfs", "-q", "-K", "-f"]),
}
# A rename that replaces a file is not to write that file as a favour.
OPTIONS = {"ext4": "loop,nodiscard,noauto_da_alloc", "ext4-bare": "loop,nodiscard,noauto_da_alloc", "xfs": "loop,nodiscard,nouuid"}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


class Disk:
    def __init__(self, kind, image, path):
        self.kind, self.image, self.path = kind, image, path


class Disks:
    def __init__(self, folder, room="1g"):
        self.folder, self.room, self.mounted, self.n = pathlib.Path(folder), room, [], 0

    def __enter__(self):
        self.below = self.folder / "below"
        self.below.mkdir()
        # Where this is not permitted nothing is tested: that is no pass.
        try:
            run("mount", "-t", "tmpfs", "-o", f"size={self.room}", "tmpfs", self.below)
        except (AssertionError, OSError) as e:
            pytest.fail(f"power cuts need root, mount and loop devices: {e}", pytrace=False)
        self.mounted.append(self.below)
        return self

    def __exit__(self, *exc):
        for path in reversed(self.mounted):
            subprocess.run(["umount", "-l", path], capture_output=True)

    def mount(self, kind, image, options=None):
        self.n += 1
        path = self.folder / f"disk{self.n}"
        path.mkdir()
        try:
            run("mount", "-t", kind.split("-")[0], "-o", options or OPTIONS[kind], image, path)
        except (AssertionError, OSError) as e:
            pytest.fail(f"power cuts need {kind} on a loop device: {e}", pytrace=False)
        self.mounted.append(path)
        return Disk(kind, image, path)

    def make(self, kind, mib=0, options=None):
        least, command = MAKE[kind]
        size = max(mib, least)
        template = self.below / f"{kind}-{size}"
        if not template.exists():
            run("truncate", "-s", f"{size}M", template)
            run(*command, template)
        image = self.below / f"image{self.n}"
        run("cp", "--sparse=always", template, image)
        return self.mount(kind, image, options)

    def cut(self, disk):
        """The power is gone, as far as this copy knows. Who writes to the disk must be stopped."""
        image = self.below / f"image{self.n}"
        for _ in range(20):
            run("cp", "--sparse=always", disk.image, image)
            if subprocess.run(["cmp", "-s", disk.image, image]).returncode == 0:
                break
        else:
            raise AssertionError(f"{disk.image} is written all the time")
        if disk.kind == "ext4-bare":
            assert subprocess.run(["e2fsck", "-fy", image], capture_output=True).returncode < 4
        return self.mount(disk.kind, image)

    def drop(self, disk):
        """With all that it has; its loop device goes with the mount."""
        subprocess.run(["umount", "-l", disk.path], capture_output=True)
        if disk.path in self.mounted:
            self.mounted.remove(disk.path)
        disk.image.unlink(missing_ok=True)
        shutil.rmtree(disk.path, ignore_errors=True)
