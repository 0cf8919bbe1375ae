# SPDX-License-Identifier: Apache-2.0
"""What a leader finds in its data folder and cannot read: it does not start, says why, and leaves it as it is."""
import sqlite3
import subprocess

import pytest

from leader_process import Leader


def newer(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


@pytest.mark.parametrize("harm,words", [
    (newer, ["made by a newer zot-leader (version 99 of the tables, this one, ", "start the newer one, or put back the copy"]),
    (lambda path: path.write_bytes(b"nonsense" * 1000), ["file is not a database"])], ids=["newer", "damaged"])
def test_a_database_that_cannot_be_read_stays_as_it_is(harm, words):
    with Leader() as leader:
        leader.stop()
        path = leader.folder / "data/leader.db"
        harm(path)
        before = path.read_bytes()
        done = subprocess.run([leader.program_path(), "serve"], env=leader.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        for word in [str(path), *words]:
            assert word in done.stderr
        assert path.read_bytes() == before
