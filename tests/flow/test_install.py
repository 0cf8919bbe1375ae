# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` puts beside the programs: pages for man(1), completion for bash. Both are made by the programs themselves."""
import fcntl
import os
import re
import shutil
import subprocess

import pytest

from program import BUILD

PROGRAMS = ["zot-worker", "zot-leader"]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    with open(BUILD / "install.lock", "w") as lock:  # one at a time: it writes into the build folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(folder)], check=True, capture_output=True, timeout=120)
    return folder


def run(command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, done.stderr
    return done


def commands_of(prefix, program):
    """name -> its help's line"""
    text = run([prefix / "bin" / program, "help"]).stdout
    return re.findall(rf"^  {program} (\S+)", text, re.M)


def settings_of(prefix, program):
    return re.findall(r"^\| `([^`]+)`", run([prefix / "bin" / program, "help", "markdown"]).stdout, re.M)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_page_for_man_has_all_and_no_warning(prefix, program):
    page = prefix / f"share/man/man1/{program}.1"
    for warnings in (["man", "--warnings=w", "-E", "UTF-8", "-l", page], ["groff", "-man", "-ww", "-Tutf8", "-z", page]):
        if shutil.which(warnings[0]):
            assert run(warnings, env={"PATH": os.environ["PATH"], "MANWIDTH": "200", "LC_ALL": "C.UTF-8"}).stderr == ""
    text = run(["man", "-l", page], env={"PATH": os.environ["PATH"], "MANWIDTH": "500", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"}).stdout
    commands, settings = commands_of(prefix, program), settings_of(prefix, program)
    assert {"serve", "verify", "version", "help"} <= set(commands) and len(settings) > 10
    for word in [*commands, *settings]:
        assert re.search(rf"^ *{re.escape(word)}\b", text, re.M), word


def complete(prefix, program, *words, cwd=None):
    """What bash offers for the last word."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); function=$(complete -p "$1" | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); '
              '"$function"; printf "%s\\n" "${COMPREPLY[@]}"')
    return set(run(["bash", "--norc", "-c", script, "bash", prefix / f"share/bash-completion/completions/{program}", program, *words], cwd=cwd).stdout.split("\n")) - {""}


@pytest.mark.parametrize("program", PROGRAMS)
def test_bash_completes_commands_and_options(prefix, program, tmp_path):
    (tmp_path / "a config.json").write_text("{}")
    commands = set(commands_of(prefix, program))
    assert complete(prefix, program, "") == commands | {"--help", "--version"}
    assert complete(prefix, program, "ver") == {command for command in commands if command.startswith("ver")} >= {"verify", "version"}
    assert complete(prefix, program, "help", "m") == {"markdown", "man"}
    assert complete(prefix, program, "serve", "a", cwd=tmp_path) == {"a config.json"}
    assert complete(prefix, program, "version", "", cwd=tmp_path) == set()
    for command in commands - {"help", "version"}:
        told = set(re.findall(r"^    (--\S+)", run([prefix / "bin" / program, command, "--help"]).stdout, re.M))
        assert complete(prefix, program, command, "--", cwd=tmp_path) == told | {"--help"}
