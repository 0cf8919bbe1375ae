# SPDX-License-Identifier: Apache-2.0
"""A power cut on paper: of a folder that a traced program writes, what is sure to be on the disk.

    power = Power(faults, store)     # before the program writes
    ...                              # the program is stopped or dead
    power.cut(copy, size_stays=True)

Each file has what its last sync that went well left, page by page. A sync that fails forgets the pages that it should have written:
they look clean, and later syncs leave them out, as Linux does it. What was written since the last sync is gone. Names are
as they are; those that a power cut takes are for a real file system to show (disks.py).

A syncfs that fails does so for some file and does not say for which: it forgets the pages of all, but of those whose own fsync goes well
afterwards. Linux would have told that fsync of its pages (an error of a file is told to the next who asks for it), so they were not among them.
"""
import os
import pathlib
import shutil

from faults import TRACE

PAGE = 4096
WRITES, SYNCS = ("pwrite", "write"), ("fsync", "fdatasync")


class File:
    def __init__(self):
        self.memory, self.disk, self.dirty, self.doubtful = bytearray(), bytearray(), set(), set()

    def write(self, at, data):
        if at < 0:
            at = len(self.memory)  # write(2) is used only for files that are written from one end to the other
        if at > len(self.memory):
            self.memory.extend(bytes(at - len(self.memory)))
        self.memory[at:at + len(data)] = data
        self.dirty.update(range(at // PAGE, (at + len(data) - 1) // PAGE + 1))

    def truncate(self, size):
        if size < len(self.memory):
            del self.memory[size:]
            self.dirty = {page for page in self.dirty if page * PAGE < size}
            self.doubtful = {page for page in self.doubtful if page * PAGE < size}
        else:
            self.memory.extend(bytes(size - len(self.memory)))

    def sync(self):
        del self.disk[len(self.memory):]
        self.disk.extend(bytes(len(self.memory) - len(self.disk)))
        for page in self.dirty:
            at = page * PAGE
            self.disk[at:at + PAGE] = self.memory[at:at + PAGE]
        self.dirty.clear()

    def sync_own(self):
        self.dirty |= self.doubtful
        self.sync()
        self.doubtful.clear()

    def forget(self):
        self.dirty.clear()
        self.doubtful.clear()

    def doubt(self):
        self.doubtful |= self.dirty
        self.dirty.clear()

    def left(self, size_stays):
        """size_stays: the inode was written, its pages were not."""
        if not size_stays:
            return bytes(self.disk)
        return bytes(self.disk[:len(self.memory)]).ljust(len(self.memory), b"\0")


class Power:
    def __init__(self, faults, store):
        self.faults, self.store = faults, pathlib.Path(store)
        for call in (*WRITES, *SYNCS, "syncfs", "ftruncate", "create"):
            faults.add(call, f"{self.store}", TRACE, times=0)

    def replay(self):
        files, data = {}, pathlib.Path(f"{self.faults.path}.data").read_bytes()
        for event in self.faults.events():
            if event.path.startswith(f"{self.store}") and event.moment in ("made", "fail"):
                self.apply(files, event, data, event.moment == "made" and event.result >= 0)
        return files

    @staticmethod
    def apply(files, event, data, well):
        if event.call == "syncfs":
            for file in files.values():
                file.sync() if well else file.doubt()
            return
        if event.call == "create" and well and not event.offset:
            files[event.inode] = File()  # perhaps under the number of one that is gone
        file = files.setdefault(event.inode, File())
        if event.call in WRITES and well and event.data >= 0:
            file.write(event.offset, data[event.data:event.data + event.result])
        elif event.call == "ftruncate" and well:
            file.truncate(event.offset)
        elif event.call in SYNCS:
            file.sync_own() if well else file.forget()

    def cut(self, to, size_stays=True):
        """A copy of the store as it is after a power cut now. Returns how many files are not what they were."""
        to, files, changed, done = pathlib.Path(to), self.replay(), 0, {}
        for path in sorted(self.store.rglob("*")):
            target = to / path.relative_to(self.store)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            inode = path.stat().st_ino
            if inode in done:
                os.link(done[inode], target)
                continue
            done[inode] = target
            shutil.copy2(path, target)
            if inode in files:
                left = files[inode].left(size_stays)
                changed += left != path.read_bytes()
                target.write_bytes(left)
        return changed
