# SPDX-License-Identifier: Apache-2.0
"""The rules that wake people, and the dashboard that they then look at: they ask for what is told, and each rule was tried and is explained."""
import json
import pathlib
import re
import subprocess

import pytest
import yaml

import promql
from figures import parse, scrape_both

ROOT = pathlib.Path(__file__).parents[2]
RULES, TRIED = ROOT / "deploy/prometheus/alerts.yml", ROOT / "deploy/prometheus/alerts_test.yml"
DASHBOARD = ROOT / "deploy/grafana/zot.json"
OPERATION = (ROOT / "docs/operation.md").read_text()
LOOK_HERE = re.search(r"(?ms)^## When \.\.\. look here$(.*?)^## ", OPERATION)[1]
RULE_LIST = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    texts = scrape_both(tmp_path_factory.mktemp("tls"))
    return promql.samples(*(parse(text) for text in texts.values()))


# The reader of expressions is one of ours.

def test_what_is_not_told_is_found(told):
    found = lambda expr: list(promql.unknown(expr, told))  # noqa: E731
    assert not found('sum by (instance) (rate(zot_http_requests_total{code=~"5..", instance="a"}[5m])) > 0 and on (instance) zot_uptime_seconds > 600')
    assert found("rate(zot_http_request_total[5m]) > 0") == ["no metric zot_http_request_total"]
    assert found('zot_cluster_complaint{kind="clocks"}') and found('zot_cluster_complaint{kinds=~".*"}') and not found('zot_cluster_complaint{kind="clock"}')
    assert found("sum by (code) (zot_uptime_seconds)") == ["no label code"]
    assert found("zot_uptime_seconds > zot_age") == ["no metric zot_age"]


# Alerts.

def test_promtool_finds_the_files_right():
    for arguments in (("check", "rules", str(RULES)), ("check", "config", str(ROOT / "deploy/prometheus/prometheus.yml"))):
        status, said = promtool(*arguments)
        assert status == 0, said


def test_each_rule_wakes_when_it_should_and_only_then():
    status, said = promtool("test", "rules", str(TRIED))
    assert status == 0, said
    tried = {name for test in yaml.safe_load(TRIED.read_text())["tests"] for case in test["promql_expr_test"]
             for sample in case["exp_samples"] for name in re.findall(r'alertname="(\w+)"', sample["labels"])}
    assert tried == {rule["alert"] for rule in RULE_LIST}


def test_a_rule_that_never_wakes_would_be_found(tmp_path):
    (tmp_path / "alerts.yml").write_text(RULES.read_text().replace("zot_check_ok == 0", "zot_check_ok == 2"))
    (tmp_path / "alerts_test.yml").write_text(TRIED.read_text())
    status, said = promtool("test", "rules", str(tmp_path / "alerts_test.yml"))
    assert status and "ZotCheckFails" in said


@pytest.mark.parametrize("rule", RULE_LIST, ids=lambda rule: rule["alert"])
def test_each_rule_asks_for_what_is_told_and_has_its_row(told, rule):
    assert not list(promql.unknown(rule["expr"], told))
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description", "runbook_url"} and rule["labels"]["severity"] in ("critical", "warning", "info")
    labels = {label for name, _ in promql.selectors(rule["expr"]) for row in told[name] for label in row} if "sum by" not in rule["expr"] else promql.grouped(rule["expr"])
    assert set(re.findall(r"\$labels\.(\w+)", str(texts))) <= labels | promql.PROMETHEUS_OWN
    assert texts["runbook_url"] == "docs/operation.md#when--look-here"
    assert f"`{rule['alert']}`" in LOOK_HERE, "no row in docs/operation.md, When ... look here"


def test_no_row_is_of_a_rule_that_is_gone():
    assert set(re.findall(r"`(Zot[A-Z]\w+)`", LOOK_HERE)) <= {rule["alert"] for rule in RULE_LIST}


# The dashboard.

def panels():
    def walk(rows):
        for panel in rows:
            yield panel
            yield from walk(panel.get("panels", []))
    return list(walk(json.loads(DASHBOARD.read_text())["panels"]))


def plain(expr):
    """Without Grafana's variables."""
    return expr.replace("$__rate_interval", "5m").replace("$__range", "1h").replace('"$instance"', '".*"').replace('"$leader"', '".*"')


def test_the_dashboard_is_one():
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["uid"] and dashboard["title"] and dashboard["schemaVersion"] >= 36
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert {"datasource", "instance"} <= variables
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    cells = set()
    for panel in panels():
        place = panel["gridPos"]
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not mine & cells, f"{panel['title']} lies over another"
        cells |= mine
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"] and panel["fieldConfig"]["defaults"]["unit"] and panel["description"]
        assert {target["refId"] for target in panel["targets"]} and len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])
        assert set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(panel["targets"]))) <= variables


def test_each_query_of_the_dashboard_asks_for_what_is_told(told):
    queries = [(panel["title"], target["expr"]) for panel in panels() for target in panel.get("targets", [])]
    assert len(queries) > 25
    assert not {title: list(promql.unknown(plain(expr), told)) for title, expr in queries if list(promql.unknown(plain(expr), told))}


def test_promtool_can_read_each_query_of_the_dashboard(tmp_path):
    queries = [plain(target["expr"]) for panel in panels() for target in panel.get("targets", [])]
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    status, said = promtool("check", "rules", str(tmp_path / "queries.yml"))
    assert status == 0, said
