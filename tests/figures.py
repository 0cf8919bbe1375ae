# SPDX-License-Identifier: Apache-2.0
"""What the programs tell Prometheus: the text format read strictly, and all that both of them tell.

    families = parse(text)
    texts = scrape_both(folder)  # {"worker": text, "leader": text}
"""
import math
import re
import subprocess

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"^({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)$")
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"], "summary": ["_sum", "_count"]}


class Family:
    def __init__(self, help_text):
        self.help, self.type, self.samples = help_text, None, {}

    def labels(self):
        """Their names, in the order of the text; of a histogram without `le`."""
        names = {key: None for _, labels in self.samples for key, _ in labels}
        return [name for name in names if name != "le"]


def parse(text):
    """Strictly the text format 0.0.4: HELP, TYPE, then all samples of a family together; no sample twice. (No parser
    is installed with Python, and the one of prometheus_client accepts more than the format says.)"""
    families, current = {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if match := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
            assert match[1] not in families, f"{match[1]} is there twice"
            current = families[match[1]] = Family(match[2])
            name = match[1]
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram|summary)", line):
            assert match[1] == name and current.type is None, line
            current.type = match[2]
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            assert current and current.type, line
            suffix = match[1].removeprefix(name)
            assert suffix in SUFFIXES[current.type], line
            labels = tuple(sorted((m[1], m[2]) for m in re.finditer(LABEL, match[2] or "")))
            assert len({key for key, _ in labels}) == len(labels), line
            assert (suffix, labels) not in current.samples, line
            current.samples[suffix, labels] = float(match[match.lastindex])
    for name, family in families.items():
        assert family.samples, f"{name} has no sample"
        if family.type == "counter":
            assert name.endswith("_total"), name
        if family.type == "histogram":
            check_histogram(name, family.samples)
    return families


def check_histogram(name, samples):
    """Buckets grow, end with +Inf, and that is the count."""
    series = {}
    for (suffix, labels), value in samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        if suffix == "_bucket":
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    assert len(series) == sum(suffix == "_count" for suffix, _ in samples), name
    for rest, buckets in series.items():
        assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets), name
        assert buckets[-1] == (math.inf, samples["_count", rest]), name
        assert samples["_sum", rest] >= 0


def make_certificate(folder):
    """Of 127.0.0.1, its own CA: how programs are told of it, and its file."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return {"ZOT_TLS_CERT": cert, "ZOT_TLS_KEY": key, "ZOT_PEER_CA": cert}, cert


def scrape_both(folder):
    """A leader and a worker that it leads, over TLS, after some requests of each kind: all that they ever tell. `folder`: for a certificate."""
    from leader_process import SECRET, Leader
    from worker_process import Worker, await_true

    tls, cert = make_certificate(folder)
    led = {"CLUSTER_MODE": "worker", "CLUSTER_LEADER_CLIENT_ID": "workers", "CLUSTER_LEADER_CLIENT_SECRET": SECRET, "CLUSTER_WORKER_NAME": "one", "ZOT_SEARCH": "true"}
    away = {"CLUSTER_BACKUP_ENABLED": "true", "CLUSTER_BACKUP_INSTANCE_CAN_WRITE": "true", "CLUSTER_BACKUP_FILE": str(folder / "state.backup")}
    told = {"ZOT_EVENTS": "true", "ZOT_EVENTS_SINKS": '[{"type": "http", "address": "http://127.0.0.1:1/"}]'}
    with Leader(verify=cert, **tls, **away) as leader, Worker(verify=cert, CLUSTER_LEADER_URL=leader.url, **led, **tls, **told) as worker:
        worker.session.auth = (leader.user, leader.password)
        await_true(lambda: worker.call("GET", "/v2/").status_code == 200, what="the state")
        worker.push("lib/app", "v1")
        assert worker.call("GET", "/v2/lib/app/manifests/v1").status_code == 200
        assert worker.call("GET", "/v2/lib/app/manifests/none").status_code == 404
        assert worker.call("GET", "/v2/", auth=("admin", "wrong")).status_code == 401
        assert worker.call("GET", "/readyz").status_code == 200
        # Bytes of repositories are counted in the background.
        text = lambda: worker.call("GET", "/metrics").text  # noqa: E731
        await_true(lambda: "zot_repo_storage_bytes" in text() and "zot_storage_bytes" in text() and "zot_lease_left_seconds" in text(), what="sizes and a lease")
        await_true(lambda: "zot_leader_backup_age_seconds" in leader.session.get(leader.url + "/metrics", timeout=30).text, what="a backup")
        return {"worker": text(), "leader": leader.session.get(leader.url + "/metrics", timeout=30).text}


def table(text):
    """Of one program's text, as docs/metrics.md has it."""
    rows = ["| metric | type | is |", "|---|---|---|"]
    for name, family in parse(text).items():
        labels = ",".join(family.labels())
        rows.append(f"| `{name}{'{' + labels + '}' if labels else ''}` | {family.type} | {family.help.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def with_tables(page, texts):
    """The page with the tables of these texts in its parts "## zot-worker" and "## zot-leader"."""
    for program, text in texts.items():
        page, found = re.subn(rf"(?ms)^(## zot-{program}\n\n).*?(?=\n## |\Z)", lambda match: match[1] + table(text), page)
        assert found == 1, f"docs/metrics.md has no part '## zot-{program}'"
    return page
