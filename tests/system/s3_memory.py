# SPDX-License-Identifier: Apache-2.0
"""An S3 server in memory, for Faults(Memory(...)): quick, and strict in the way of MinIO.

    ETags are quoted, and an If-Match without quotes matches nothing; of two conditional writes of one key that are under way at once
    the second is answered 409; a body must have the sum that is announced; a list is in order and has pages.

It knows what a registry asks of a bucket as long as nothing is large: objects, ranges, conditions, copies, lists. It does not check signatures; others do.
"""
import asyncio
import base64
import bisect
import email.utils
import hashlib
import random
import re
import time
import urllib.parse
import xml.sax.saxutils

from s3_faults import Answer, date, refusal

ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "memory", "memory secret", "us-east-1", "zot"


class Memory:
    kind, bucket = "memory", BUCKET

    def __init__(self, seed=0, delay_s=0.0005, strict=True, many=False):
        """delay_s: for which a write is under way. strict: whether an If-Match needs its quotes. many: whether it deletes up to 1,000 at once."""
        self.many = many
        self.objects, self.order, self.writing = {}, [], set()
        self.dice, self.delay_s, self.strict = random.Random(seed), delay_s, strict

    def environment(self, endpoint):
        return {"S3_ENDPOINT": endpoint, "S3_BUCKET": BUCKET, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_REGION": REGION}

    async def answer(self, request):
        method, key = request.method, request.key
        if "uploads" in request.query or "uploadId" in request.query:
            return refusal(501, "NotImplemented", method)
        if not key and method != "POST":
            return self.list(request) if request.is_list() else self.head([])
        if method == "PUT":
            return await self.put(request)
        if method in ("GET", "HEAD"):
            return self.get(request)
        if method == "DELETE":
            self.remove(key)
            return Answer(204, self.headers())
        if method == "POST" and "delete" in request.query and self.many:
            return self.remove_many(request)
        return refusal(501, "NotImplemented", method)

    @staticmethod
    def headers(*more):
        return [("Server", "memory"), ("Date", date()), *more]

    def head(self, more):
        return Answer(200, self.headers(*more))

    # Objects.

    def store(self, key, body):
        # Tests store beside the server, which lists what is in the order: each step leaves what it may see.
        etag, new = f'"{hashlib.md5(body).hexdigest()}"', key not in self.objects
        self.objects[key] = (etag, body, time.time())
        if new:
            bisect.insort(self.order, key)
        return etag

    def remove(self, key):
        if key in self.objects:
            del self.order[bisect.bisect_left(self.order, key)]
            del self.objects[key]

    def remove_many(self, request):
        """DeleteObjects, quietly: the body has the sum that is announced, and names 1,000 at most."""
        keys = [xml.sax.saxutils.unescape(key) for key in re.findall("<Key>([^<]*)</Key>", request.body.decode())]
        if base64.b64encode(hashlib.md5(request.body).digest()).decode() != request.headers.get("content-md5"):
            return refusal(400, "BadDigest")
        if not 0 < len(keys) <= 1000 or "<Quiet>true</Quiet>" not in request.body.decode():
            return refusal(400, "MalformedXML")
        for key in keys:
            self.remove(key)
        return Answer(200, self.headers(("Content-Type", "application/xml")), b'<?xml version="1.0" encoding="UTF-8"?><DeleteResult></DeleteResult>')

    async def put(self, request):
        headers, key, body = request.headers, request.key, request.body
        expected, none = headers.get("if-match"), headers.get("if-none-match")
        announced = headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        if re.fullmatch("[0-9a-f]{64}", announced) and hashlib.sha256(body).hexdigest() != announced:
            return refusal(400, "XAmzContentSHA256Mismatch")
        if expected is None and none is None:
            return self.write(request)
        refused = self.refuse(key, expected, none)
        if not refused and key in self.writing:
            refused = refusal(409, "ConditionalRequestConflict")
        if refused:
            return refused
        self.writing.add(key)
        try:
            await asyncio.sleep(self.dice.random() * 2 * self.delay_s)
        finally:
            self.writing.discard(key)
        return self.refuse(key, expected, none) or self.write(request)

    def refuse(self, key, expected, none):
        there = self.objects.get(key)
        if none == "*" and there:
            return refusal(412, "PreconditionFailed")
        if expected is not None and not there:
            return refusal(404, "NoSuchKey")
        if expected is not None and expected != there[0] and (self.strict or f'"{expected}"' != there[0]):
            return refusal(412, "PreconditionFailed")
        return None

    def write(self, request):
        source = request.headers.get("x-amz-copy-source")
        if not source:
            return self.head([("ETag", self.store(request.key, request.body))])
        found = self.objects.get(urllib.parse.unquote(source).lstrip("/").partition("/")[2])
        if not found:
            return refusal(404, "NoSuchKey")
        etag = self.store(request.key, found[1])
        text = f'<?xml version="1.0" encoding="UTF-8"?><CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>'
        return Answer(200, self.headers(("Content-Type", "application/xml")), text.encode())

    def get(self, request):
        there = self.objects.get(request.key)
        if not there:
            return refusal(404, "NoSuchKey", request.method)
        etag, body, changed = there
        headers = self.headers(("ETag", etag), ("Last-Modified", email.utils.formatdate(changed, usegmt=True)), ("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"))
        if request.headers.get("if-none-match") == etag:
            return Answer(304, headers)
        if request.headers.get("if-match") not in (None, etag):
            return refusal(412, "PreconditionFailed", request.method)
        status, wanted = 200, re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or len(body) - 1), len(body) - 1)
            if first > last:
                return refusal(416, "InvalidRange", request.method)
            headers.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
            status, body = 206, body[first:last + 1]
        if request.method == "HEAD":
            return Answer(status, headers, b"", len(body))
        return Answer(status, headers, body)

    # Lists.

    def list(self, request):
        query = request.query
        prefix, delimiter, most = query.get("prefix", ""), query.get("delimiter", ""), int(query.get("max-keys", 1000))
        after = query.get("continuation-token") or query.get("start-after", "")
        keys, prefixes, last, more = [], [], "", False
        for key in self.order[bisect.bisect_left(self.order, max(prefix, after)):]:
            if not key.startswith(prefix):
                break
            group = ""
            if delimiter and delimiter in key[len(prefix):]:
                group = key[:key.index(delimiter, len(prefix)) + len(delimiter)]
            if key <= after or (group and (group <= after or (prefixes and prefixes[-1] == group))):
                continue
            if len(keys) + len(prefixes) == most:
                more = True
                break
            last = group or key
            (prefixes if group else keys).append(last)
        return Answer(200, self.headers(("Content-Type", "application/xml")), self.page(prefix, keys, prefixes, more and last).encode())

    def page(self, prefix, keys, prefixes, following):
        escape = xml.sax.saxutils.escape
        text = [f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix>'
                f"<KeyCount>{len(keys) + len(prefixes)}</KeyCount><IsTruncated>{str(bool(following)).lower()}</IsTruncated>"]
        if following:
            text.append(f"<NextContinuationToken>{escape(following)}</NextContinuationToken>")
        text += [f"<Contents><Key>{escape(k)}</Key><LastModified>{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(self.objects[k][2]))}</LastModified><ETag>{self.objects[k][0]}</ETag>"
                 f"<Size>{len(self.objects[k][1])}</Size></Contents>" for k in keys]
        text += [f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in prefixes]
        return "".join(text) + "</ListBucketResult>"
