# SPDX-License-Identifier: Apache-2.0
"""What both programs tell Prometheus is what its own tools want to see, what docs/metrics.md says, and all that rules and dashboard ask for."""
import pathlib
import subprocess

import pytest

from figures import parse, scrape_both, with_tables

ROOT = pathlib.Path(__file__).parents[2]

# zot's names, which its users' dashboards know: they stay. promtool's complaints about them, and about nothing else.
ZOTS_OWN = {
    "zot_info label names should be written in 'snake_case' not 'camelCase'",                             # binaryType, goVersion
    "zot_storage_lock_latency_seconds label names should be written in 'snake_case' not 'camelCase'",     # storageName, lockType
    "zot_scheduler_workers_total non-counter metrics should not have \"_total\" suffix",
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return scrape_both(tmp_path_factory.mktemp("tls"))


def lint(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr  # 1: not the format at all
    return set((done.stdout + done.stderr).splitlines())


def test_promtool_complains_of_nothing_but_zots_own_names(texts):
    assert lint(texts["worker"]) == ZOTS_OWN
    assert lint(texts["leader"]) == set()


def test_promtool_would_complain():
    assert lint("# HELP a_ms Time.\n# TYPE a_ms gauge\na_ms 1\n") and lint("# TYPE a_total counter\na_total 1\n")


@pytest.mark.parametrize("program", ["worker", "leader"])
def test_the_text_is_what_the_format_says(texts, program):
    families = parse(texts[program])
    assert len(families) > 30 and all(family.help.endswith(".") for family in families.values())


def test_the_page_has_each_metric_with_its_sentence(texts):
    page = (ROOT / "docs/metrics.md").read_text()
    assert page == with_tables(page, texts), "run tools/write-metrics"


def test_no_program_tells_what_the_other_tells(texts):
    worker, leader = (parse(texts[name]) for name in ("worker", "leader"))
    assert all(name.startswith("process_") for name in worker.keys() & leader.keys())
    assert all(name.startswith(("zot_leader_", "process_")) for name in leader)
