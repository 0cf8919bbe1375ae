# SPDX-License-Identifier: Apache-2.0
"""Settings as operators meet them: verify, help, the documentation, one environment for all instances."""
import json
import os
import pathlib
import re
import subprocess

import pytest

from worker_process import BUILD

HERE = pathlib.Path(__file__).parents[2]
PROGRAMS = {"worker": BUILD / "worker/zot-worker", "leader": BUILD / "leader/zot-leader"}


def run(program, *arguments, **environment):
    return subprocess.run([str(PROGRAMS[program]), *map(str, arguments)], env={"PATH": os.environ["PATH"], **environment},
                          capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("program,wrong,right", [
    ("leader", "CLUSTER_LEADER_CLIENT_SECRT", "CLUSTER_LEADER_CLIENT_SECRET"), ("worker", "CLUSTER_WORKER_NAM", "CLUSTER_WORKER_NAME"),
    ("worker", "ZOT_STORAGE_ROT", "ZOT_STORAGE_ROOT")])
def test_a_wrong_variable_names_the_nearest(program, wrong, right):
    done = run(program, "verify", **{wrong: "x"})
    assert done.returncode != 0 and wrong in done.stderr and right in done.stderr


@pytest.mark.parametrize("config,words", [
    ({"storage": {"rootDirectry": "/x"}}, ["storage.rootDirectry", "storage.rootDirectory"]),
    ({"http": {"port": "eight"}}, ["http.port", "0 to 65535"]),
    ({"http": {"compat": ["docker2s1"]}}, ["http.compat", "docker2s1", "docker2s2"]),
    ({"cluster": {"members": ["a:1", "a:1"], "hashKey": "loremipsumdolors"}}, ["cluster.members", "a:1"])])
def test_a_wrong_key_names_its_path(tmp_path, config, words):
    (tmp_path / "config.json").write_text(json.dumps({"storage": {"rootDirectory": "/x"}, **config}))
    done = run("worker", "verify", tmp_path / "config.json")
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr


def test_a_key_that_is_not_served_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"storage": {"rootDirectory": "/x", "gc": True}}))
    done = run("worker", "verify", tmp_path / "config.json")
    assert done.returncode == 0 and "storage.gc" in done.stderr


def variables(program):
    """All that the program's help names."""
    text = run(program, "help", "markdown").stdout
    return set(re.findall(r"`((?:ZOT|CLUSTER)_[A-Z0-9_]+)`", text))


def test_each_program_knows_the_variables_of_the_other():
    assert variables("worker") - variables("leader") == set()
    assert variables("leader") - variables("worker") == set()


def test_the_documentation_has_the_settings_of_today():
    text = (HERE / "docs/configuration.md").read_text()
    for program in PROGRAMS:
        assert run(program, "help", "markdown").stdout in text, f"run zot-{program} help markdown, and put it into docs/configuration.md"


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_the_command_line(program):
    assert re.fullmatch(rf"zot-{program} \d+\.\d+\.\d+\n", run(program, "version").stdout)
    assert "serve" in run(program, "help").stdout
    assert run(program, "sevre").returncode == 2
