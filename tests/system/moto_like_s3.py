# SPDX-License-Identifier: Apache-2.0
"""moto's server, and what S3 has that it lacks.

    python moto_like_s3.py [arguments of moto_server]

Requests that are signed in their URL, or by version 2: where moto checks signatures it answers 500. They are checked here, signature and
end, and go on to moto with the same keys' signature in their headers.

Keys for a time, and their end: whoever has the token of MOTO_WEB_TOKEN gets keys of the role from STS (which moto lends to
nobody without a signature where it checks them), from an agent of containers at /keys and from the metadata of a machine. They
are good for MOTO_KEYS_SECONDS, and refused as S3 refuses them afterwards. GET /lent tells how often.

Writes with a condition that exclude each other: moto looks, then writes, and another thread may do so in between.
"""
import base64
import collections
import hashlib
import hmac
import io
import json
import os
import threading
import time
from calendar import timegm
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import moto.server
from botocore.auth import HmacV1Auth, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import CreateAccessKeyFailure, create_access_key
from moto.sts.models import sts_backends

ROLE = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/tests"
STS = ("<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}"
       "</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>"
       "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message></Error>'
CONDITIONAL = threading.Lock()


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(code)
        self.body = ERROR.format(code, message).encode()


def encoded(text):
    return quote(text, safe="-_.~")


def signature(environ, parameters, credentials):
    """What the whole request but its signature gives with these keys."""
    scope = parameters["X-Amz-Credential"].partition("/")[2]
    query = "&".join(sorted(f"{encoded(k)}={encoded(v)}" for k, v in parameters.items() if k != "X-Amz-Signature"))
    path = quote(unquote(environ["RAW_URI"].partition("?")[0]), safe="/-_.~")
    names = parameters["X-Amz-SignedHeaders"].split(";")
    headers = [f"{name}:{environ['HTTP_' + name.upper().replace('-', '_')]}" for name in names]
    canonical = "\n".join([environ["REQUEST_METHOD"], path, query, *headers, "", ";".join(names), "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", parameters["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + credentials.secret_key.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def check(environ, parameters):
    token = {k: v for k, v in parameters.items() if k == "X-Amz-Security-Token"}
    try:
        key = create_access_key(DEFAULT_ACCOUNT_ID, "aws", parameters["X-Amz-Credential"].split("/")[0], token)
    except CreateAccessKeyFailure:
        raise Refused("InvalidAccessKeyId", "There is no such key.") from None
    credentials = key.create_credentials()
    if signature(environ, parameters, credentials) != parameters["X-Amz-Signature"]:
        raise Refused("SignatureDoesNotMatch", "The signature in the URL is not ours.")
    if time.time() >= LENDER.ends.get(parameters.get("X-Amz-Security-Token"), float("inf")):
        raise Refused("ExpiredToken", "The provided token has expired.")
    begun = timegm(time.strptime(parameters["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    if time.time() >= begun + int(parameters["X-Amz-Expires"]):
        raise Refused("AccessDenied", "Request has expired")
    return credentials


def sign_again(environ, parameters, credentials):
    region = parameters["X-Amz-Credential"].split("/")[2]
    rest = "&".join(f"{encoded(k)}={encoded(v)}" for k, v in parameters.items() if not k.startswith("X-Amz-"))
    target = environ["RAW_URI"].partition("?")[0] + ("?" + rest if rest else "")
    body = b""
    if "content-md5" in parameters.get("X-Amz-SignedHeaders", "").split(";"):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = io.BytesIO(body)
        if base64.b64encode(hashlib.md5(body).digest()).decode() != environ["HTTP_CONTENT_MD5"]:
            raise Refused("BadDigest", "The body has another sum.")
    request = AWSRequest(method=environ["REQUEST_METHOD"], url=f"http://{environ['HTTP_HOST']}{target}", data=body or None)
    S3SigV4Auth(credentials, "s3", region).add_auth(request)
    environ.update({"HTTP_" + name.upper().replace("-", "_"): value for name, value in request.headers.items()})
    environ.update({"QUERY_STRING": rest, "RAW_URI": target, "REQUEST_URI": target})


def check_v2(environ, parameters):
    """Signatures of version 2, which moto does not know: checked as botocore makes them, then signed again for moto."""
    in_url = "AWSAccessKeyId" in parameters
    access = parameters["AWSAccessKeyId"] if in_url else environ["HTTP_AUTHORIZATION"][4:].partition(":")[0]
    wanted = parameters["Signature"] if in_url else environ["HTTP_AUTHORIZATION"].rpartition(":")[2]
    if in_url and time.time() >= int(parameters["Expires"]):
        raise Refused("AccessDenied", "Request has expired")
    try:
        credentials = create_access_key(DEFAULT_ACCOUNT_ID, "aws", access, {}).create_credentials()
    except CreateAccessKeyFailure:
        raise Refused("InvalidAccessKeyId", "There is no such key.") from None
    headers = HTTPHeaders()
    for name, value in environ.items():
        if name.startswith("HTTP_X_AMZ_") or name in ("HTTP_CONTENT_MD5", "HTTP_DATE"):
            headers[name[5:].replace("_", "-").lower()] = value
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    left = [p for p in environ["RAW_URI"].partition("?")[2].split("&") if p.partition("=")[0] not in ("AWSAccessKeyId", "Expires", "Signature")]
    signer = HmacV1Auth(credentials)
    signer._get_date = lambda: parameters["Expires"] if in_url else environ.get("HTTP_DATE", "")
    split = urlsplit("http://" + environ["HTTP_HOST"] + environ["RAW_URI"].partition("?")[0] + "?" + "&".join(filter(None, left)))
    text = signer.canonical_string(environ["REQUEST_METHOD"], split, headers)
    if signer.sign_string(text) != wanted:
        raise Refused("SignatureDoesNotMatch", "The signature of version 2 is not ours.")
    signed = {"X-Amz-Credential": f"{access}/20000101/us-east-1/s3/aws4_request"}
    rest = {k: v for k, v in parameters.items() if k not in ("AWSAccessKeyId", "Expires", "Signature")}
    # Not part of what is signed anew.
    for name in ("HTTP_X_AMZ_DATE", "HTTP_AUTHORIZATION"):
        environ.pop(name, None)
    sign_again(environ, {**signed, **rest}, credentials)


def check_sts(environ, body):
    """The signature in the headers of a call of STS, for which moto has no user."""
    parts = dict(part.split("=", 1) for part in environ["HTTP_AUTHORIZATION"].partition(" ")[2].replace(" ", "").split(","))
    access, _, scope = parts["Credential"].partition("/")
    key = b"AWS4" + create_access_key(DEFAULT_ACCOUNT_ID, "aws", access, {}).create_credentials().secret_key.encode()
    known = {"content-type": environ.get("CONTENT_TYPE", "")}
    headers = "".join(f"{n}:{known.get(n) or environ['HTTP_' + n.upper().replace('-', '_')]}\n" for n in parts["SignedHeaders"].split(";"))
    canonical = "\n".join(["POST", "/", "", headers, parts["SignedHeaders"], hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", environ["HTTP_X_AMZ_DATE"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return scope.endswith("/sts/aws4_request") and hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == parts["Signature"]


class Lender:
    """Answers for who lends keys; None: it is another's request."""

    def __init__(self):
        self.token, self.seconds = os.environ.get("MOTO_WEB_TOKEN"), int(os.environ.get("MOTO_KEYS_SECONDS", "3600"))
        self.ends, self.asked = {}, collections.Counter()

    def lend(self, role, session):
        lent = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assume_role(
            region_name="us-east-1", role_session_name=session, role_arn=role, policy="", duration=self.seconds, external_id="")
        self.ends[lent.session_token] = time.time() + self.seconds
        return lent, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.ends[lent.session_token]))

    def in_json(self, way):
        self.asked[way] += 1
        lent, end = self.lend(ROLE, way)
        return json.dumps({"Code": "Success", "AccessKeyId": lent.access_key_id, "SecretAccessKey": lent.secret_access_key,
                           "Token": lent.session_token, "Expiration": end})

    def of_sts(self, environ):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        form = dict(parse_qsl(body.decode()))
        if form.get("Action") == "AssumeRole":
            if form.get("ExternalId") != "an id/" or not check_sts(environ, body):
                return "403 Forbidden", ERROR.format("SignatureDoesNotMatch", "Not signed as it should be.")
        elif form.get("WebIdentityToken") != self.token or form.get("Action") != "AssumeRoleWithWebIdentity":
            return "400 Bad Request", ERROR.format("InvalidIdentityToken", "No such token.")
        self.asked["sts"] += 1
        lent, end = self.lend(form["RoleArn"], form["RoleSessionName"])
        return "200 OK", STS.format(lent.access_key_id, lent.secret_access_key, lent.session_token, end)

    def of_machine(self, method, path, environ):
        if path == "/latest/api/token":
            return ("200 OK", "machine") if method == "PUT" and "HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS" in environ else ("400 Bad", "")
        if environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN") != "machine":
            return "401 Unauthorized", ""
        return "200 OK", "tests\n" if path.endswith("/") else self.in_json("machine")

    def answer(self, environ):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if not self.token:
            return None
        if environ.get("CONTENT_TYPE") == "application/x-www-form-urlencoded" and path == "/" and \
                ("HTTP_AUTHORIZATION" not in environ or "/sts/" in environ["HTTP_AUTHORIZATION"]):
            return self.of_sts(environ)
        if path == "/keys":
            if environ.get("HTTP_AUTHORIZATION") != self.token:
                return "403 Forbidden", json.dumps({"code": "AccessDenied", "message": "no such token"})
            return "200 OK", self.in_json("container")
        if path == "/latest/api/token" or path.startswith("/latest/meta-data/iam/security-credentials/"):
            return self.of_machine(method, path, environ)
        if path == "/lent":
            return "200 OK", json.dumps(self.asked)
        if time.time() >= self.ends.get(environ.get("HTTP_X_AMZ_SECURITY_TOKEN"), float("inf")):
            self.asked["refused"] += 1
            return "400 Bad Request", ERROR.format("ExpiredToken", "The provided token has expired.")
        return None


LENDER = Lender()


class Application(moto.server.DomainDispatcherApplication):
    def __call__(self, environ, start_response):
        lent = LENDER.answer(environ)
        if lent:
            body = b"" if environ["REQUEST_METHOD"] == "HEAD" else lent[1].encode()
            start_response(lent[0], [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]
        parameters = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        try:
            if "X-Amz-Signature" in parameters:
                sign_again(environ, parameters, check(environ, parameters))
            elif "AWSAccessKeyId" in parameters or environ.get("HTTP_AUTHORIZATION", "").startswith("AWS "):
                check_v2(environ, parameters)
        except Refused as refusal:
            start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(refusal.body)))])
            return [refusal.body]
        if environ["REQUEST_METHOD"] != "PUT" or not ("HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ):
            return super().__call__(environ, start_response)
        # Nobody waits for who is slow to send.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        with CONDITIONAL:
            return super().__call__(environ, start_response)


if __name__ == "__main__":
    moto.server.DomainDispatcherApplication = Application
    moto.server.main()
