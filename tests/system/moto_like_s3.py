# SPDX-License-Identifier: Apache-2.0
"""moto's server, and what S3 has that it lacks.

    python moto_like_s3.py [arguments of moto_server]

Requests that are signed in their URL: where moto checks signatures it answers 500. They are checked here, signature and
end, and go on to moto with the same keys' signature in their headers.

Writes with a condition that exclude each other: moto looks, then writes, and another thread may do so in between.
"""
import hashlib
import hmac
import io
import threading
import time
from calendar import timegm
from urllib.parse import parse_qsl, quote, unquote

import moto.server
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import CreateAccessKeyFailure, create_access_key

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
    canonical = "\n".join([environ["REQUEST_METHOD"], path, query, "host:" + environ["HTTP_HOST"], "", "host", "UNSIGNED-PAYLOAD"])
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
    begun = timegm(time.strptime(parameters["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    if time.time() >= begun + int(parameters["X-Amz-Expires"]):
        raise Refused("AccessDenied", "Request has expired")
    return credentials


def sign_again(environ, parameters, credentials):
    region = parameters["X-Amz-Credential"].split("/")[2]
    rest = "&".join(f"{encoded(k)}={encoded(v)}" for k, v in parameters.items() if not k.startswith("X-Amz-"))
    target = environ["RAW_URI"].partition("?")[0] + ("?" + rest if rest else "")
    request = AWSRequest(method=environ["REQUEST_METHOD"], url=f"http://{environ['HTTP_HOST']}{target}")
    S3SigV4Auth(credentials, "s3", region).add_auth(request)
    environ.update({"HTTP_" + name.upper().replace("-", "_"): value for name, value in request.headers.items()})
    environ.update({"QUERY_STRING": rest, "RAW_URI": target, "REQUEST_URI": target})


class Application(moto.server.DomainDispatcherApplication):
    def __call__(self, environ, start_response):
        parameters = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        try:
            if "X-Amz-Signature" in parameters:
                sign_again(environ, parameters, check(environ, parameters))
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
