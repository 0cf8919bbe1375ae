# SPDX-License-Identifier: Apache-2.0
"""The API describes itself, and does what it says: GET /api/openapi.json, asked by schemathesis."""
import os
import pathlib
import re
import secrets
import subprocess
import sys

import openapi_spec_validator
import pytest

from leader_process import Leader

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# A body that schema and server agree about is rarer than what is refused by rules between fields: owners that are there, hashes that are some.
CHECKS = """[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "428", "429"]
"""
# A question for the state waits for a change, and live events have no end.
WAITS = ("/api/cluster/state", "/api/cluster/live")


@pytest.fixture
def leader():
    with Leader(ZOT_LOG_LEVEL="info") as one:
        yield one


@pytest.fixture
def document(leader):
    reply = leader.session.get(leader.url + "/api/openapi.json", auth=lambda request: request, timeout=30)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
    return reply.json()


def test_every_row_parameter_and_schema_is_described(document):
    assert document["openapi"] == "3.1.0" and document["x-undescribed"] == []
    kinds = dict(re.findall(r"^KIND\(\w+,\s*(\w+),\s*(\w+)", (ROOT / "proto/entity_kinds.def").read_text(), re.MULTILINE))
    paths = document["paths"]
    for kind in kinds:
        assert set(paths[f"/api/{kind}"]) >= {"get", "head"} and set(paths[f"/api/{kind}/{{id}}"]) >= {"get", "head"}
    # Another name of a kind is one row with the same description.
    assert not any(f"/api/{plural}" in paths for kind, plural in kinds.items() if kind != plural)
    fixed = re.findall(r'\.path = "(/[^"*]*)\*?"', (ROOT / "leader/api/route.c").read_text())
    assert not [path for path in fixed if path != "/api/" and path not in paths and path + "/{id}" not in paths]


def refs(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from refs(one)


def test_it_is_a_good_document(document):
    openapi_spec_validator.validate(document)
    assert {ref.rsplit("/", 1)[1] for ref in refs(document)} <= set(document["components"]["schemas"])


def test_methods_that_are_not_there_are_named_by_those_that_are(leader, document):
    for path, methods in document["paths"].items():
        at = path.replace("{id}", "an-id-that-is-not-there")
        reply = leader.session.request("TRACE", leader.url + at, timeout=30)
        allowed = {m.lower() for m in reply.headers["Allow"].split(", ")}
        assert reply.status_code == 405 and allowed == set(methods) - {"parameters"}, (path, allowed)


def test_a_body_of_another_type_is_refused_after_who_asks_is_known(leader):
    url, plain = leader.url + "/api/user", {"Content-Type": "text/plain"}
    assert leader.session.post(url, data="{}", headers=plain, timeout=30).status_code == 415
    assert leader.session.post(url, data="{}", headers=plain, auth=("admin", "wrong"), timeout=30).status_code == 401
    lines = {"Content-Type": "application/x-ndjson"}
    assert leader.session.post(url, data="{}", headers=lines, timeout=30).status_code == 415
    said = leader.session.post(url + "/_bulk", json={"id": "x"}, timeout=30)
    assert said.status_code == 415 and "application/x-ndjson" in said.text


def test_the_running_server_keeps_what_it_says(leader, tmp_path):
    """SCHEMATHESIS_EXAMPLES: how many for each operation, beside those of all bounds."""
    user, password = f"u{secrets.token_hex(8)}", secrets.token_hex(16)
    leader.admin("POST", "/api/user", {"id": user, "password": password, "roles": ["admin"]})
    (tmp_path / "schemathesis.toml").write_text(CHECKS)
    run = subprocess.run(
        [pathlib.Path(sys.executable).with_name("schemathesis"), "--config-file", tmp_path / "schemathesis.toml", "run", leader.url + "/api/openapi.json",
         "--auth", f"{user}:{password}", "--phases", "coverage,fuzzing", "-n", os.environ.get("SCHEMATHESIS_EXAMPLES", "2"), *(word for path in WAITS for word in ("--exclude-path", path)),
         "--seed", "1", "--generation-database", "none", "--continue-on-failure", "--request-timeout", "60"],
        capture_output=True, text=True, timeout=600, cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "openapi_hooks", "SCHEMATHESIS_USER": user, "PYTHONPATH": str(HERE)})
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    generated = int(re.search(r"(\d+) generated", run.stdout).group(1))
    print(f"{generated} requests as the document says")
    assert generated > 1000 and leader.process.poll() is None
    assert leader.session.get(leader.url + "/api/user", auth=(user, password), timeout=30).status_code == 200
