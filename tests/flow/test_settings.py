# SPDX-License-Identifier: Apache-2.0
"""Settings as operators meet them: verify, help, the documentation, one environment for all instances."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from worker_process import BUILD, Worker

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


BROKEN = [
    ('{', ["line 1"]),
    ('[]', ["object"]),
    ({"storag": {}}, ["storag", "storage"]),
    ({"storage": {"rootDirectry": "/x"}}, ["storage.rootDirectry", "storage.rootDirectory"]),
    ({"storage": {"rootDirectory": 5}}, ["storage.rootDirectory"]),
    ({"storage": "x"}, ["storage"]),
    ({"storage": {}}, ["storage.rootDirectory"]),
    ({"storage": {"rootDirectory": "/x", "spoolLimit": "ten"}}, ["storage.spoolLimit"]),
    ({"storage": {"rootDirectory": "/x", "spoolLimit": "1KB"}}, ["storage.spoolLimit", "1048576"]),
    ({"storage": {"rootDirectory": "/x", "indexCache": -1}}, ["storage.indexCache"]),
    ({"storage": {"rootDirectory": "/x", "requireBlobs": "yes please"}}, ["storage.requireBlobs", "true"]),
    ({"storage": {"rootDirectory": "/x", "storageDriver": {"name": "gcs"}}}, ["storage.storageDriver", "gcs", "s3"]),
    ({"storage": {"rootDirectory": "/x", "storageDriver": {"name": "s3", "buckett": "b"}}}, ["buckett", "bucket"]),
    ({"storage": {"rootDirectory": "/x", "storageDriver": {"name": "s3"}}}, ["bucket"]),
    ({"storage": {"rootDirectory": "/x", "storageDriver": {"name": "s3", "bucket": "b", "accesskey": "a"}}}, ["accesskey", "go together"]),
    ({"storage": {"rootDirectory": "/x", "storageDriver": {"name": "s3", "bucket": "b", "accesskey": "a", "secretkey": "s",
                                                        "regionendpoint": "ftp://x"}}}, ["http://"]),
    ({"http": {"port": "eight"}}, ["http.port", "0 to 65535"]),
    ({"http": {"port": 65536}}, ["http.port", "65535"]),
    ({"http": {"port": -1}}, ["http.port"]),
    ({"http": {"prot": 1}}, ["http.prot", "http.port"]),
    ({"http": {"compat": "docker2s2x"}}, ["http.compat"]),
    ({"http": {"compat": ["docker2s1"]}}, ["http.compat", "docker2s1", "docker2s2"]),
    ({"http": {"tls": {"cert": "/c"}}}, ["http.tls"]),
    ({"http": {"tls": {"key": "/k"}}}, ["http.tls"]),
    ({"http": {"tls": {"cret": "/c"}}}, ["http.tls.cret", "http.tls.cert"]),
    ({"http": {"auth": {"htpaswd": {}}}}, ["http.auth.htpaswd", "http.auth.htpasswd"]),
    ({"http": {"auth": {"failDelay": 61}}}, ["http.auth.failDelay", "60"]),
    ({"http": {"auth": {"failDelay": "soon"}}}, ["http.auth.failDelay"]),
    ({"http": {"accessControl": {"repositories": {"**": {"defaultPolicy": ["reed"]}}}}}, ["reed", "read"]),
    ({"http": {"accessControl": {"repositories": {"**": {"defaultPolicies": ["read"]}}}}}, ["defaultPolicies", "defaultPolicy"]),
    ({"http": {"accessControl": {"repository": {}}}}, ["repository", "repositories"]),
    ({"http": {"accessControl": {"repositories": {"**": {"policies": [{"user": ["a"], "actions": ["read"]}]}}}}}, ["user", "users"]),
    ({"http": {"accessControl": {"adminPolicy": {"users": "root", "actions": ["read"]}}}}, ["adminPolicy"]),
    ({"http": {"realm": "a\r\nb"}}, ["http.realm", "control"]),
    ({"http": {"realm": "say \"x\""}}, ["http.realm", "quote"]),
    ({"http": {"readTimeout": "soon"}}, ["http.readTimeout", "1h30m"]),
    ({"http": {"readTimeout": 60000000000}}, ["http.readTimeout", "86400000 ms"]),
    ({"http": {"writeTimeout": "-1s"}}, ["http.writeTimeout", "duration"]),
    ({"http": {"writeTimout": "1s"}}, ["http.writeTimout", "http.writeTimeout"]),
    ({"http": {"ratelimit": {"rate": -1}}}, ["http.ratelimit.rate", "0 to 1000000"]),
    ({"http": {"ratelimit": {"rate": "many"}}}, ["http.ratelimit.rate", "number"]),
    ({"http": {"ratelimit": {"rates": 1}}}, ["http.ratelimit.rates", "http.ratelimit.rate"]),
    ({"http": {"ratelimit": 5}}, ["http.ratelimit", "object"]),
    ({"http": {"ratelimit": {"methods": {"GET": 1}}}}, ["http.ratelimit.methods", "list"]),
    ({"http": {"ratelimit": {"methods": [{"method": "FETCH", "rate": 1}]}}}, ["http.ratelimit.methods[0]", "FETCH", "PATCH"]),
    ({"http": {"ratelimit": {"methods": [{"method": "PUT", "rate": 1}, {"method": "PUT", "rate": 2}]}}}, ["methods[1]", "twice"]),
    ({"http": {"ratelimit": {"methods": [{"method": "PUT", "rat": 1}]}}}, ["methods[0].rat", "rate"]),
    ({"http": {"ratelimit": {"methods": [{"method": "PUT", "rate": 0}]}}}, ["methods[0]", "1 to 1000000"]),
    ({"http": {"ratelimit": {"methods": ["PUT"]}}}, ["methods[0]", "method"]),
    ({"http": {"trustedProxies": ["10.0.0.0/33"]}}, ["http.trustedProxies", "10.0.0.0/33", "10.0.0.0/8"]),
    ({"http": {"trustedProxies": ["haproxy"]}}, ["http.trustedProxies", "haproxy"]),
    ({"http": {"trustedProxie": []}}, ["http.trustedProxie", "http.trustedProxies"]),
    ({"http": {"auth": {"mtls": {"identityAttributes": ["CommonName"]}}}}, ["http.auth.mtls", "http.tls.cacert"]),
    ({"http": {"auth": {"mtls": {"identityAttributes": ["Emial"]}}}}, ["http.auth.mtls.identityAttributes", "Emial", "rfc822name"]),
    ({"http": {"auth": {"mtls": {"identityAttribute": ["CN"]}}}}, ["http.auth.mtls.identityAttribute", "identityAttributes"]),
    ({"http": {"auth": {"mtls": {"uriSanPattern": "a(b)"}}}}, ["http.auth.mtls.uriSanPattern", "needs URI"]),
    ({"http": {"auth": {"mtls": {"identityAttributes": ["URI"], "uriSanPattern": "a(b"}}}}, ["http.auth.mtls.uriSanPattern", "a(b"]),
    ({"http": {"auth": {"mtls": {"identityAttributes": ["URI"], "uriSanPattern": "\\d"}}}}, ["http.auth.mtls.uriSanPattern", "[0-9]"]),
    ({"http": {"auth": {"mtls": {"uriSanIndex": 1}}}}, ["http.auth.mtls.uriSanIndex", "needs URI"]),
    ({"http": {"auth": {"mtls": {"dnsSanIndex": 1}}}}, ["http.auth.mtls.dnsSanIndex", "needs DNSName"]),
    ({"http": {"auth": {"mtls": {"emailSanIndex": 1}}}}, ["http.auth.mtls.emailSanIndex", "needs Email"]),
    ({"http": {"auth": {"mtls": {"emailSanIndex": -1}}}}, ["http.auth.mtls.emailSanIndex", "0 to 100"]),
    ({"cluster": {"members": ["a"], "hashKey": "loremipsumdolors"}}, ["cluster.members", "host:port"]),
    ({"cluster": {"members": ["a:1", "a:1"], "hashKey": "loremipsumdolors"}}, ["cluster.members", "a:1"]),
    ({"cluster": {"members": ["a:1", "b:1"], "hashKey": "short"}}, ["cluster.hashKey", "16"]),
    ({"cluster": {"members": ["a:1", "b:1"]}}, ["cluster.hashKey"]),
    ({"cluster": {"members": ["a:1", "b:1"], "hashKey": "loremipsumdolors"}}, ["ZOT_CLUSTER_SECRET", "openssl rand -hex 32"]),
    ({"cluster": {"secret": "short"}}, ["cluster.secret", "16"]),
    ({"cluster": {"member": []}}, ["cluster.member", "cluster.members"]),
    ({"log": {"level": "loud"}}, ["log.level", "debug"]),
    ({"log": {"format": "xml"}}, ["log.format", "json"]),
    ({"data": 7}, ["data"]),
]


@pytest.mark.parametrize("config,words", BROKEN)
def test_a_broken_configuration_is_told_what_is_wrong(tmp_path, config, words):
    text = config if isinstance(config, str) else json.dumps({"storage": {"rootDirectory": "/x"}, **config})
    (tmp_path / "config.json").write_text(text)
    done = run("worker", "verify", tmp_path / "config.json")
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("variables,words", [
    ({"ZOT_RATE_LIMIT_METHODS": "GET"}, ["ZOT_RATE_LIMIT_METHODS", "GET=100,PUT=10"]),
    ({"ZOT_RATE_LIMIT_METHODS": "GET=x"}, ["ZOT_RATE_LIMIT_METHODS", "GET=100,PUT=10"]),
    ({"ZOT_RATE_LIMIT_METHODS": "GETT=5"}, ["ZOT_RATE_LIMIT_METHODS", "GETT", "DELETE"]),
    ({"ZOT_RATE_LIMIT": "-5"}, ["ZOT_RATE_LIMIT", "0 to 1000000"]),
    ({"ZOT_TRUSTED_PROXIES": "10.0.0.1/8"}, ["http.trustedProxies", "10.0.0.1/8"]),
    ({"ZOT_TRUSTED_PROXY": "10.0.0.1"}, ["ZOT_TRUSTED_PROXY", "ZOT_TRUSTED_PROXIES"])])
def test_a_wrong_variable_is_told_what_is_wrong(variables, words):
    done = run("worker", "verify", ZOT_STORAGE_ROOT="/x", **variables)
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr


def test_a_key_that_is_not_served_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"storage": {"rootDirectory": "/x", "hydrateBlobOnRead": True}}))
    done = run("worker", "verify", tmp_path / "config.json")
    assert done.returncode == 0 and "storage.hydrateBlobOnRead" in done.stderr


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
        assert run(program, "help", "markdown").stdout in text, f"run tools/write-settings"


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_the_command_line(program):
    said = run(program, "version").stdout
    assert re.fullmatch(rf"zot-{program} \d+\.\d+\.\d+( \(commit [0-9a-f]{{12}}\+?\))?", said.splitlines()[0]) and run(program, "--version").stdout == said
    assert re.fullmatch(r"(OpenSSL|libcurl|zlib|jansson) \d+\.\d+.*", said.splitlines()[1])
    assert "serve" in run(program, "help").stdout
    for asked in (["--help"], ["-h"], ["serve", "--help"], ["verify", "-h"]):
        done = run(program, *asked)
        assert done.returncode == 0 and done.stdout == run(program, "help").stdout and not done.stderr
    for wrong in ([], ["sevre"], ["serve", "a.json", "b.json"], ["serve", "--prot"], ["version", "x"]):
        done = run(program, *wrong)
        assert done.returncode == 2 and "serve" in done.stderr and not done.stdout, wrong
    assert run(program, "verify", "/nonexistent.json").returncode == 1


LED = {"CLUSTER_MODE": "worker", "CLUSTER_LEADER_URL": "http://127.0.0.1:1", "CLUSTER_LEADER_CLIENT_ID": "workers",
       "CLUSTER_LEADER_CLIENT_SECRET": "a secret of the leaders"}


@pytest.mark.parametrize("command", ["verify", "serve"])
@pytest.mark.parametrize("left_out,words", [
    (["CLUSTER_MODE"], ["CLUSTER_LEADER_URL", "CLUSTER_MODE=worker", "alone"]),
    (["CLUSTER_MODE", "CLUSTER_LEADER_URL"], ["CLUSTER_LEADER_CLIENT_ID", "CLUSTER_MODE=worker", "alone"]),
    (["CLUSTER_LEADER_URL"], ["CLUSTER_LEADER_URL", "CLUSTER_MODE=worker"])])
def test_half_of_a_led_worker_is_none(tmp_path, command, left_out, words):
    """With its mode forgotten it would take pushes from anybody."""
    done = run("worker", command, ZOT_STORAGE_ROOT=str(tmp_path), PORT="0", **{k: v for k, v in LED.items() if k not in left_out})
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr


def test_in_a_led_cluster_users_are_the_leaders():
    done = run("worker", "verify", ZOT_STORAGE_ROOT="/x", ZOT_HTPASSWD="/x/htpasswd", **LED)
    assert done.returncode == 1 and "ZOT_HTPASSWD" in done.stderr and "POST /api/users" in done.stderr


@pytest.mark.parametrize("settings,is_told", [
    ({"ZOT_WORKER_ADDRESS": "0.0.0.0"}, True), ({"ZOT_WORKER_ADDRESS": "127.0.0.1"}, False),
    ({"ZOT_WORKER_ADDRESS": "0.0.0.0", "ZOT_HTPASSWD": "htpasswd"}, False)])
def test_an_open_registry_says_so_at_its_start(tmp_path, settings, is_told):
    (tmp_path / "htpasswd").write_text("")
    if "ZOT_HTPASSWD" in settings:
        settings = {**settings, "ZOT_HTPASSWD": str(tmp_path / "htpasswd")}
    with Worker(**settings) as worker:
        assert worker.call("GET", "/livez").status_code == 200
        warnings = [line for line in worker.text().splitlines() if '"worker.open"' in line]
        assert len(warnings) == is_told and all("ANYBODY" in line and "ZOT_HTPASSWD" in line for line in warnings)


# What a start looks at beyond the settings' own words: files, addresses, pairs that do not go together.
ODD = ["::::", "/dev/null/file", "somebody's file", "a-" + "long-" * 30 + "name"]
MAY_WRITE = {"ZOT_LOG_AUDIT"}  # logs go on behind what is there
READY = {"worker": "worker.ready", "leader": "leader.ready"}


def starts(program, environment, folder):
    """Does serve come up? And what it said."""
    process = subprocess.Popen([str(PROGRAMS[program]), "serve"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               cwd=folder)
    said = []
    for line in process.stdout:
        said.append(line)
        if READY[program] in line:
            break
    process.kill()
    process.stdout.close()
    process.wait(60)
    return bool(said) and READY[program] in said[-1], "".join(said)


def world(program, led, folder):
    base = {"PATH": os.environ["PATH"], "PORT": "0", "ZOT_LOG_FORMAT": "json"}
    if program == "leader":
        return {**base, "ZOT_LEADER_DATA": str(folder / "leader"), "ZOT_LEADER_ADDRESS": "127.0.0.1",
                "CLUSTER_LEADER_CLIENT_ID": "workers", "CLUSTER_LEADER_CLIENT_SECRET": "a secret of the leaders"}
    return {**base, "ZOT_STORAGE_ROOT": str(folder / "store"), "ZOT_WORKER_DATA": str(folder / "worker"), "ZOT_WORKER_ADDRESS": "127.0.0.1",
            "AWS_EC2_METADATA_DISABLED": "true", **(LED if led else {})}


@pytest.mark.parametrize("program,led", [("leader", False), ("worker", False), ("worker", True)])
def test_verify_and_serve_say_the_same_of_each_setting(program, led, tmp_path):
    """Whatever verify calls right, serve starts with; what it calls wrong, serve refuses."""
    text = run(program, "help", "markdown").stdout
    names = sorted(n for n in set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", text)) - {"PORT", "ZOT_LOG_OUTPUT"} if not led or n.startswith("CLUSTER_"))
    assert len(names) > 15
    differ, tried = [], 0

    def compare(name, value, at):
        folder = tmp_path / str(at)
        folder.mkdir()
        theirs = folder / ODD[2]
        theirs.write_text("root:x:0:0\n")
        environment = {**world(program, led, folder), name: value.replace(ODD[2], str(theirs))}
        verified = subprocess.run([str(PROGRAMS[program]), "verify"], env=environment, capture_output=True, text=True, timeout=60, cwd=folder)
        started, said = starts(program, environment, folder)
        kept = name in MAY_WRITE or theirs.is_file() and theirs.read_text() == "root:x:0:0\n"
        shutil.rmtree(folder)
        if not kept:
            return f"{name}={value}: a file that is somebody's was changed"
        if (verified.returncode == 0) != started:
            return f"{name}={value}: verify {verified.returncode} {verified.stderr[-300:]}, serve {'starts' if started else said[-500:]}"
        return None

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        pairs = [(name, value) for name in names for value in ODD]
        for found in pool.map(lambda pair: compare(*pair[1], pair[0]), enumerate(pairs)):
            tried += 1
            differ += [found] if found else []
    assert not differ and tried == len(names) * len(ODD), "\n".join(differ)


HASH_KEY = {"ZOT_CLUSTER_HASH_KEY": "loremipsumdolors", "ZOT_CLUSTER_SECRET": "a secret of the members"}


@pytest.mark.parametrize("wrong,variables", [
    ("ZOT_TLS_KEY", {"ZOT_TLS_CERT": "/x"}),
    ("ZOT_TLS_CERT", {"ZOT_TLS_KEY": "/x"}),
    ("ZOT_TLS_CA", {"ZOT_TLS_CA": "/x"}),
    ("ZOT_PEER_KEY", {"ZOT_PEER_CERT": "/x"}),
    ("ZOT_PEER_CERT", {"ZOT_PEER_KEY": "/x"}),
    ("ZOT_PEER_CA", {"ZOT_PEER_CA": "/x/none"}),
    ("ZOT_COMPAT", {"ZOT_COMPAT": "docker2s1"}),
    ("ZOT_CLUSTER_MEMBERS", {"ZOT_CLUSTER_MEMBERS": "a", **HASH_KEY}),
    ("ZOT_CLUSTER_MEMBERS", {"ZOT_CLUSTER_MEMBERS": "a:1,a:1", **HASH_KEY}),
    ("ZOT_CLUSTER_MEMBERS", HASH_KEY),
    ("ZOT_CLUSTER_HASH_KEY", {"ZOT_CLUSTER_MEMBERS": "a:1,b:1", **HASH_KEY, "ZOT_CLUSTER_HASH_KEY": "short"}),
    ("ZOT_CLUSTER_SECRET", {"ZOT_CLUSTER_MEMBERS": "a:1,b:1", **HASH_KEY, "ZOT_CLUSTER_SECRET": "short"}),
    ("ZOT_TRUSTED_PROXIES", {"ZOT_TRUSTED_PROXIES": "10.0.0.1/8"}),
    ("ZOT_MTLS_IDENTITY_ATTRIBUTES", {"ZOT_MTLS_IDENTITY_ATTRIBUTES": "Emial", "ZOT_TLS_CA": "/x"}),
    ("ZOT_MTLS_URI_SAN_PATTERN", {"ZOT_MTLS_URI_SAN_PATTERN": "a", "ZOT_TLS_CA": "/x"}),
    ("ZOT_MTLS_DNS_SAN_INDEX", {"ZOT_MTLS_DNS_SAN_INDEX": "1", "ZOT_TLS_CA": "/x"}),
    ("ZOT_REALM", {"ZOT_REALM": 'say "x"'}),
    ("ZOT_METRICS_PATH", {"ZOT_METRICS_PATH": "metrics"}),
    ("ZOT_STORAGE_ROOT", {"ZOT_STORAGE_ROOT": ""}),
    ("ZOT_HTPASSWD", {"ZOT_HTPASSWD": "/x/none"}),
    ("ZOT_WORKER_DATA", {"ZOT_WORKER_DATA": "/dev/null/x"}),
    ("ZOT_SPOOL", {"ZOT_SPOOL": "/dev/null/x"}),
    ("ZOT_LOG_OUTPUT", {"ZOT_LOG_OUTPUT": "/x/none/log"}),
    ("ZOT_LOG_AUDIT", {"ZOT_LOG_AUDIT": "/x/none/log"}),
    ("ZOT_LOG_LEVEL", {"ZOT_LOG_LEVEL": "loud"}),
    ("ZOT_SPOOL_LIMIT", {"ZOT_SPOOL_LIMIT": "ten"}),
    ("ZOT_READ_TIMEOUT", {"ZOT_READ_TIMEOUT": "soon"}),
    ("PORT", {"PORT": "65536"}),
    ("S3_ENDPOINT", {"S3_BUCKET": "b", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "S3_ENDPOINT": "nowhere"}),
])
def test_what_is_wrong_in_a_variable_names_the_variable(wrong, variables):
    done = run("worker", "verify", **{"ZOT_STORAGE_ROOT": "/x", **variables})
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if re.match(rf"error: (\S+ \([A-Z0-9_, ]*)?\b{wrong}\b", line)]
    assert said, done.stderr
