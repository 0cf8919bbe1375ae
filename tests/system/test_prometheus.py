# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus with the files of deploy/ beside a real deployment: it may ask, its rules can be evaluated, the dashboard's queries
have answers, and a worker that is killed is told of."""
import json
import pathlib
import re
import shutil

import pytest
import requests

from cluster import Cluster, Process, await_true, free_port

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"


class Prometheus:
    """The files of deploy/ with these ports; it asks and evaluates each second, and is quick to say that a worker is down."""

    def __init__(self, cluster):
        self.folder = cluster.folder / "prometheus"
        shutil.copytree(DEPLOY / "prometheus", self.folder)
        text = (self.folder / "prometheus.yml").read_text()
        workers, leader = ", ".join(f'"127.0.0.1:{w.port}"' for w in cluster.workers), f'"127.0.0.1:{cluster.leader.port}"'
        rules = (self.folder / "alerts.yml").read_text()
        (self.folder / "alerts.yml").write_text(re.sub(r"(alert: ZotWorkerDown\n.*\n *for:) 1m", r"\1 3s", rules))
        for before, after in ((r'"127.0.0.1:8081".*\]', workers + "]"), (r'"127.0.0.1:8080"', leader), (r"15s", "1s")):
            text, found = re.subn(before, after, text)
            assert found, before
        (self.folder / "prometheus.yml").write_text(text)
        (self.folder / "zot-password").write_text(cluster.password)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = cluster.add(Process(cluster, "prometheus", [
            "prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}"], self.port, {}))
        self.process.start(wait=False)
        await_true(self.is_there, 60, "Prometheus")

    def is_there(self):
        assert self.process.process.poll() is None, self.process.log.read_text()
        try:
            return requests.get(self.url + "/-/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def ask(self, path, **parameters):
        reply = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]

    def query(self, expr):
        return self.ask("query", query=expr)["result"]

    def rules(self):
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def await_firing(self, name):
        """The alert."""
        firing = lambda: [alert for alert in self.ask("alerts")["alerts"] if alert["labels"]["alertname"] == name and alert["state"] == "firing"]  # noqa: E731
        return await_true(firing, 60, name)[0]


@pytest.fixture(scope="module")
def world():
    with Cluster(workers=2, haproxy=False) as cluster:
        cluster.push("lib/app", "v1", cluster.workers[0])
        cluster.workers[1].call("GET", "/v2/lib/app/manifests/v1")
        yield cluster, Prometheus(cluster)


def test_prometheus_may_ask_all_of_them(world):
    _, prometheus = world
    await_true(lambda: len(prometheus.query("up == 1")) == 3, 60, "three targets")
    assert {row["metric"]["job"] for row in prometheus.query("up == 1")} == {"zot-worker", "zot-leader"}


def test_all_rules_are_evaluated_and_none_wakes_where_all_is_well(world):
    _, prometheus = world
    await_true(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), 60, "the rules")
    assert len(prometheus.rules()) > 25
    assert not {rule["name"]: rule["alerts"] for rule in prometheus.rules() if rule["state"] == "firing"}


def test_the_queries_of_the_dashboard_have_answers(world):
    _, prometheus = world
    panels = json.loads((DEPLOY / "grafana/zot.json").read_text())["panels"]
    queries = [target["expr"].replace("$__rate_interval", "5m").replace('"$instance"', '".*"') for panel in panels for target in panel.get("targets", [])]
    # Rates need two samples; what ends so is there only where something is wrong.
    await_true(lambda: all(prometheus.query(query) or query.endswith("> 0") for query in queries), 60, "answers")


def test_a_used_up_quota_is_told_of(world):
    cluster, prometheus = world
    key = cluster.new_key(dailyQuota=2)
    worker, login = cluster.workers[0], (key["clientId"], key["clientSecret"])
    await_true(lambda: worker.call("GET", "/v2/", auth=login).status_code == 429, 30, "the end of the quota")
    assert prometheus.await_firing("ZotQuotaRefusals")["labels"]["instance"] == f"127.0.0.1:{worker.port}"


def test_a_killed_worker_is_told_of(world):
    cluster, prometheus = world
    cluster.workers[1].kill()
    alert = prometheus.await_firing("ZotWorkerDown")
    assert alert["labels"]["instance"] == f"127.0.0.1:{cluster.workers[1].port}"
    assert alert["annotations"]["runbook_url"].startswith("docs/operation.md#")
