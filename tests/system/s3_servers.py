#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""s3_servers - real S3 servers for tests, started, given a bucket and stopped again.

    with s3_servers.start("moto") as server:       also "radosgw"
        server.endpoint, server.access_key, server.secret_key, server.region, server.bucket
        server.environment()                       for a child process

    python s3_servers.py run moto|radosgw -- command...
        runs the command with ZOT_TEST_S3_*, S3_* and AWS_* set and ends with its exit status
    python s3_servers.py serve moto|radosgw
        prints the same variables and serves until interrupted

moto checks signatures here: it leaves the first four calls unchecked, and exactly those make the
user, its keys, its policy and the bucket; moto_like_s3.py starts it. radosgw is started by radosgw_up.sh.
"""
import argparse
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
from botocore.config import Config

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from registry import free_port  # noqa: E402

REGION = "us-east-1"
WEB_TOKEN = "a.web.token"
ROLE = "arn:aws:iam::123456789012:role/tests"
# Exactly the rights that docs/operation.md names.
RIGHTS = ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
          "s3:ListBucketMultipartUploads"]
# moto asks for a right of its own where AWS takes ListBucket.
OTHERS = ["s3:HeadBucket"]
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": RIGHTS + OTHERS, "Resource": "*"}]})


class Server:
    """A running S3 server with an empty bucket."""

    def __init__(self, kind, endpoint, access_key, secret_key, bucket):
        self.kind, self.endpoint, self.region, self.bucket = kind, endpoint, REGION, bucket
        self.access_key, self.secret_key = access_key, secret_key

    def lent(self, source, folder):
        """Variables of who has no keys, but is lent some: by "web identity", "container", "machine", "profile" or "role by keys"."""
        environment = {"S3_ENDPOINT": self.endpoint, "S3_BUCKET": self.bucket, "AWS_REGION": self.region, "AWS_ENDPOINT_URL_STS": self.endpoint,
                       "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder)}
        token = folder / "token"
        token.write_text(WEB_TOKEN + "\n")
        if source == "web identity":
            environment.update(AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN=ROLE)
        elif source == "container":
            environment.update(AWS_CONTAINER_CREDENTIALS_FULL_URI=self.endpoint + "/keys", AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token))
        elif source == "machine":
            environment.update(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=self.endpoint)
        elif source == "role by keys":
            (folder / ".aws").mkdir(exist_ok=True)
            (folder / ".aws/credentials").write_text(f"[base]\naws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}\n")
            (folder / ".aws/config").write_text(f"[default]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = an id/\n")
        else:
            (folder / ".aws").mkdir(exist_ok=True)
            (folder / ".aws/config").write_text(f"[profile zot]\nrole_arn = {ROLE}\nweb_identity_token_file = {token}\n")
            environment.update(AWS_PROFILE="zot")
        return environment

    def times_lent(self):
        with urllib.request.urlopen(self.endpoint + "/lent", timeout=5) as reply:
            return json.load(reply)

    def client(self):
        return boto3_client("s3", self.endpoint, self.access_key, self.secret_key)

    def environment(self):
        return {
            "ZOT_TEST_S3_KIND": self.kind,
            "ZOT_TEST_S3_ENDPOINT": self.endpoint,
            "ZOT_TEST_S3_ACCESS_KEY": self.access_key,
            "ZOT_TEST_S3_SECRET_KEY": self.secret_key,
            "ZOT_TEST_S3_REGION": self.region,
            "ZOT_TEST_S3_BUCKET": self.bucket,
            "S3_ENDPOINT": self.endpoint,
            "S3_BUCKET": self.bucket,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }


def boto3_client(service, endpoint, access_key, secret_key):
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60)
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=access_key,
                        aws_secret_access_key=secret_key, config=config)


def await_answer(url, process, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def is_alive(pid):
    """False for a zombie too: it is gone, but for its parent."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def end_processes(pids, seconds=20):
    """The last started ends first; who does not go is killed."""
    for pid in reversed(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while is_alive(pid) and time.monotonic() < until:
            time.sleep(0.05)
        if is_alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def moto_python():
    """That of the environment where moto is."""
    beside = pathlib.Path(sys.executable).parent / "moto_server"
    program = str(beside) if beside.exists() else shutil.which("moto_server")
    return program and str(pathlib.Path(program).parent / "python3")


def moto_keys(endpoint, roles):
    """Calls one to three of the four that are not checked. IAM gives us the keys."""
    iam = boto3_client("iam", endpoint, "setup", "setup")
    iam.create_user(UserName="tests")
    key = iam.create_access_key(UserName="tests")["AccessKey"]
    iam.put_user_policy(UserName="tests", PolicyName="all", PolicyDocument=POLICY)
    if roles:
        iam.create_role(RoleName="tests", AssumeRolePolicyDocument="{}")
        iam.put_role_policy(RoleName="tests", PolicyName="all", PolicyDocument=POLICY)
    return key["AccessKeyId"], key["SecretAccessKey"]


@contextlib.contextmanager
def start_moto(keys_seconds=None):
    """keys_seconds: it lends keys too, which are good for so long (Server.lent)."""
    python = moto_python()
    if not python:
        raise RuntimeError("moto_server is missing: pip install 'moto[server,s3]'")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = dict(os.environ, INITIAL_NO_AUTH_ACTION_COUNT="6" if keys_seconds else "4")
    if keys_seconds:
        environment.update(MOTO_WEB_TOKEN=WEB_TOKEN, MOTO_KEYS_SECONDS=str(keys_seconds))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([python, str(HERE / "moto_like_s3.py"), "-H", "127.0.0.1", "-p", str(port)], env=environment, stdout=log, stderr=log)
        try:
            await_answer(endpoint + "/moto-api/data.json", process, 60)
            access_key, secret_key = moto_keys(endpoint, bool(keys_seconds))
            server = Server("moto", endpoint, access_key, secret_key, "zot-" + secrets.token_hex(4))
            server.client().create_bucket(Bucket=server.bucket)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def start_radosgw():
    parent = pathlib.Path(tempfile.mkdtemp(prefix="zot-radosgw-"))
    folder = parent / "ceph"
    port = free_port(in_a_row=2)
    access_key, secret_key = "TESTS" + secrets.token_hex(6).upper(), secrets.token_hex(20)
    try:
        subprocess.run([str(HERE / "radosgw_up.sh"), str(folder), str(port), access_key, secret_key], check=True,
                       stdin=subprocess.DEVNULL, timeout=400)
        server = Server("radosgw", f"http://127.0.0.1:{port}", access_key, secret_key, "zot-" + secrets.token_hex(4))
        server.client().create_bucket(Bucket=server.bucket)
        yield server
    finally:
        pids = folder / "pids"
        if pids.exists():
            end_processes([int(pid) for pid in pids.read_text().split()])
        shutil.rmtree(parent, ignore_errors=True)


def start(kind, **options):
    return {"moto": start_moto, "radosgw": start_radosgw}[kind](**options)


def run(kind, command):
    with start(kind) as server:
        return subprocess.run(command, env=dict(os.environ, **server.environment())).returncode


def serve(kind):
    with start(kind) as server:
        for name, value in server.environment().items():
            print(f"export {name}={value}")
        sys.stdout.flush()
        signal.pause()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["run", "serve"])
    parser.add_argument("kind", choices=["moto", "radosgw"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    # Ended by a signal, the servers are stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.verb == "serve":
        with contextlib.suppress(KeyboardInterrupt):
            serve(arguments.kind)
        return 0
    if not command:
        parser.error("run needs a command")
    status = run(arguments.kind, command)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
