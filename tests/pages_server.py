# SPDX-License-Identifier: Apache-2.0
"""A scripted leader for the pages: serves leader/pages/static and answers the calls that the pages make, from memory.

    with PagesServer() as server:
        server.members["w1"]["state"] = "lost"
        server.tell("members", {"changed": [server.members["w1"]], "gone": []})
        server.break_streams()
"""
import http.server
import json
import mimetypes
import pathlib
import queue
import threading
import time
import urllib.parse

STATIC = pathlib.Path(__file__).parents[1] / "leader/pages/static"
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
       "form-action 'self'; frame-ancestors 'none'")


def texts(about, **items):
    return {"type": ["array", "null"], "items": {"type": "string", **items}, "description": about}


def one_of(kind, about, **more):
    return {"type": [kind, "null"], "description": about, **more}


TIME = {"type": ["string", "integer", "null"], "description": "From then on it is refused; 0 = valid for ever."}
ACTIONS = {"enum": ["read", "create", "update", "delete"]}
NOTES = {"type": ["object", "null"], "additionalProperties": {"type": "string"}, "description": "Free notes."}
ENABLED = one_of("boolean", "What is not enabled is refused everywhere.")
RULES = {"type": "array", "description": "Rules.", "items": {"type": "object", "properties": {"users": texts("Users."), "groups": texts("Groups."), "actions": texts("Actions.", **ACTIONS)}}}
# As GET /api/openapi.json of a real leader has them.
BODIES = {
    "user": {"passwordHash": one_of("string", "A hash.", writeOnly=True), "password": one_of("string", "The password.", writeOnly=True), "groups": texts("Groups."), "roles": texts("Roles."),
             "enabled": ENABLED, "metadata": NOTES},
    "group": {"users": texts("Users."), "description": one_of("string", "What people know of it.")},
    "apikey": {"owner": one_of("string", "For whom it acts."), "label": one_of("string", "What people call it."), "clientSecret": one_of("string", "The secret.", writeOnly=True),
               "scopes": texts("What it may do."), "enabled": ENABLED, "validUntil": TIME, "dailyQuota": one_of("integer", "Calls a UTC day; 0 = no limit.", minimum=0),
               "monthlyQuota": one_of("integer", "Calls a UTC month; 0 = no limit.", minimum=0), "tags": texts("Labels."), "metadata": NOTES},
    "policy": {"policies": RULES, "defaultPolicy": texts("Who is logged in.", **ACTIONS), "anonymousPolicy": texts("Anybody.", **ACTIONS)},
    "worker": {"description": one_of("string", "What people know of it."), "enabled": ENABLED, "validUntil": TIME},
    "settings": {name: one_of("integer", "Milliseconds.", minimum=100, maximum=600000) for name in ("leaseMs", "pushEveryMs", "grantMs", "pollWaitMs")} | {"isolated": one_of("boolean", "Storage.")},
    "admin_policy": {"users": texts("Users."), "groups": texts("Groups."), "actions": texts("Actions.", **ACTIONS)},
}
TEMPLATES = {"user": {"enabled": True}, "apikey": {"enabled": True, "validUntil": 0, "dailyQuota": 0}, "worker": {"enabled": True}}


def described(bodies):
    names = {"id": {"type": "string", "maxLength": 255}, "revision": {}, "kind": {"type": "string"}}
    return {"openapi": "3.1.0", "paths": {}, "components": {"schemas": {
        f"{kind}Body": {"type": "object", "required": ["owner"] if kind == "apikey" else [], "properties": {**names, **fields}} for kind, fields in bodies.items()}}}


def member(name, **more):
    return {"name": name, "state": "active", "url": f"http://{name}:8080", "zone": "a", "version": "0.3.0", "process": "p", "boot": "b",
            "revision": 1, "stateAgeMs": 40, "leaseLeftMs": 5900, "lastPush": "2026-11-22T15:00:00Z", "complaints": [],
            "stats": {"rateMilli": 12500, "requests": 1234, "openRequests": 3, "bytesIn": 10 ** 9, "bytesOut": 10 ** 10, "rss": 40 << 20,
                      "cpuMs": 9000, "uptimeMs": 3600000, "p50Us": 800, "p99Us": 5200, "proxied": 3, "s3Requests": 0, "spoolBytes": 0,
                      "chores": {"running": 0, "failures": 0}}, **more}


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


class PagesServer:
    """What it has may be changed by a test at any time; `calls` are (method, path) of all that was asked."""

    user, password, csrf = "admin", "a password for tests", "the csrf of tests"

    def __init__(self, roles=("admin",), bodies=None, workers=3):
        self.roles, self.openapi, self.calls, self.streams, self.has_streams = list(roles), described(bodies or BODIES), [], [], True
        self.signed_in, self.revision, self.uploads, self.last = False, 1, 0, False
        self.orders = []  # (member, body) of what was asked of chores
        self.members = {f"worker-{i}": member(f"worker-{i}") for i in range(workers)}
        self.entities = {kind: {} for kind in ("user", "group", "apikey", "policy", "worker", "settings", "admin_policy")}
        self.put("user", "admin", {"groups": [], "roles": ["admin"], "enabled": True, "metadata": {}})
        self.put("settings", "cluster", {"leaseMs": 6000, "pushEveryMs": 2000, "grantMs": 15000, "pollWaitMs": 25000, "isolated": False})
        self.usage, self.repositories, self.audit, self.quotas = [], [], [], []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                server.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *rest):
        self.break_streams()
        self.http.shutdown()
        self.http.server_close()

    # What a test does.

    def put(self, kind, id, body):
        self.revision += 1
        self.entities[kind][id] = ({"id": id, **body}, self.revision)

    def tell(self, event, data):
        for stream in list(self.streams):
            stream.put((event, data))

    def break_streams(self, again=False):
        self.has_streams = again
        for stream in list(self.streams):
            stream.put(None)

    # Serving.

    def serve(self, call):
        url = urllib.parse.urlsplit(call.path)
        asked = {k: v[0] for k, v in urllib.parse.parse_qs(url.query, keep_blank_values=True).items()}
        length = int(call.headers.get("Content-Length", 0))
        body = json.loads(call.rfile.read(length)) if length else None
        self.calls.append((call.command, call.path))
        try:
            if url.path == "/api/cluster/live":
                return self.serve_stream(call)
            if not url.path.startswith("/api/"):
                return self.serve_file(call, url.path)
            status, answer, headers = self.api(call, url.path.split("/")[2:], asked, body)
        except Refused as refused:
            status, answer, headers = refused.status, {"error": {"code": refused.code, "message": str(refused)}}, {}
        data = b"" if answer is None else json.dumps(answer).encode()
        self.reply(call, status, data, {"Content-Type": "application/json", **headers})

    @staticmethod
    def reply(call, status, data, headers):
        call.send_response(status)
        for name, value in {**headers, "Content-Length": len(data)}.items():
            call.send_header(name, value)
        call.end_headers()
        call.wfile.write(data)

    def serve_file(self, call, path):
        file = STATIC / ("index.html" if path == "/" else path.removeprefix("/assets/"))
        if not file.is_file():
            return self.reply(call, 404, b"", {})
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return self.reply(call, 200, file.read_bytes(), {"Content-Type": kind, "Content-Security-Policy": CSP, "Cache-Control": "no-cache",
                                                         "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"})

    def serve_stream(self, call):
        if not self.has_streams:
            return self.reply(call, 503, b"", {})
        call.send_response(200)
        call.send_header("Content-Type", "text/event-stream")
        call.send_header("Connection", "close")
        call.end_headers()
        told = queue.Queue()
        self.streams.append(told)
        call.wfile.write(b": welcome\n\n")
        while (what := told.get()) is not None:
            try:
                call.wfile.write(f"event: {what[0]}\ndata: {json.dumps(what[1])}\n\n".encode())
            except OSError:
                break
        self.streams.remove(told)
        call.close_connection = True

    def api(self, call, parts, asked, body):
        if parts[0] == "session":
            return self.session(call, body)
        if parts == ["openapi.json"]:
            return 200, self.openapi, {}
        if not self.signed_in:
            raise Refused(401, "unauthorized", "authentication is needed")
        if call.command != "GET" and call.headers.get("X-CSRF-Token") != self.csrf:
            raise Refused(403, "denied", "the header X-CSRF-Token is not that of the session")
        if parts[0] == "cluster":
            return self.cluster(call, parts[1:], asked, body)
        if parts[0] in ("usage", "access", "audit"):
            return getattr(self, f"get_{parts[0]}")(asked)
        return self.entity(call, parts, asked, body)

    def session(self, call, body):
        if call.command == "DELETE":
            self.signed_in = False
            return 204, None, {}
        if call.command == "POST":
            if (body["user"], body["password"]) != (self.user, self.password):
                raise Refused(401, "unauthorized", "no such user, or another password")
            self.signed_in = True
        if not self.signed_in:
            raise Refused(401, "unauthorized", "there is no session")
        return 200, {"user": self.user, "roles": self.roles, "csrf": self.csrf}, {}

    # Entities.

    def entity(self, call, parts, asked, body):
        kind, id = parts[0], urllib.parse.unquote("/".join(parts[1:]))
        if kind not in self.entities:
            raise Refused(404, "not_found", f"no such kind: {kind}")
        if id.endswith("/rotate"):
            return self.rotate(id.removesuffix("/rotate"), body)
        if id == "_template":
            return 200, TEMPLATES.get(kind, {}), {}
        if not id:
            return self.entity_list(kind, asked) if call.command == "GET" else self.create(kind, body)
        if id not in self.entities[kind]:
            raise Refused(404, "not_found", f"{kind} {id!r}: there is none")
        entity, revision = self.entities[kind][id]
        if call.headers.get("If-Match", f'"{revision}"') != f'"{revision}"':
            raise Refused(412, "conflict", "it was changed meanwhile")
        if call.command == "DELETE":
            del self.entities[kind][id]
            self.changed(kind)
            return 204, None, {}
        if call.command != "GET":
            self.put(kind, id, {**entity, **body})
            self.changed(kind)
        entity, revision = self.entities[kind][id]
        return 200, entity, {"ETag": f'"{revision}"'}

    def entity_list(self, kind, asked):
        n, ids = int(asked.get("n", 100)), sorted(self.entities[kind])
        rest = [id for id in ids if id > asked.get("last", "")]
        more = {"Link": f"</api/{kind}?n={n}&last={urllib.parse.quote(rest[n - 1], safe='')}>; rel=\"next\""} if len(rest) > n else {}
        return 200, {"total": len(ids), "revision": self.revision, "items": [self.entities[kind][id][0] for id in rest[:n]]}, more

    @staticmethod
    def with_secret(entity):
        return {"clientId": entity["id"], "clientSecret": "secret-of-" + entity["id"], "apiKey": "zak_secret", "entity": entity}

    def create(self, kind, body):
        id = body.get("id") or f"{self.revision:024x}"
        if id in self.entities[kind]:
            raise Refused(409, "exists", f"{kind} {id!r}: it is there already")
        if len(body.get("password", "a long password")) < 8:
            raise Refused(400, "invalid", f'user "{id}": "password": at least 8 bytes')
        kept = {k: v for k, v in body.items() if k not in ("password", "clientSecret")}
        self.put(kind, id, {"enabled": True, **kept} if kind != "policy" else kept)
        self.changed(kind)
        entity = self.entities[kind][id][0]
        return 201, self.with_secret(entity) if kind in ("apikey", "worker") else entity, {}

    def rotate(self, id, body):
        entity = self.entities["apikey"][id][0]
        if entity.get("graceUntil") and not body.get("again"):
            raise Refused(409, "conflict", "a grace runs: it would end the secret that is in use")
        self.put("apikey", id, {**entity, "graceUntil": "2030-01-01T00:00:00Z"})
        return 200, self.with_secret(self.entities["apikey"][id][0]), {}

    def changed(self, kind):
        self.tell("changed", {"revision": self.revision, "kinds": [kind]})

    # The rest.

    def cluster(self, call, parts, asked, body):
        if parts == ["members"]:
            return 200, {"leader": "leader", "cluster": "c0ffee", "generation": 1, "revision": self.revision, "ringEpoch": 4, "leaseMs": 6000,
                         "estranged": [], "members": list(self.members.values())}, {}
        if parts == ["figures"]:
            return 200, self.figures(), {}
        if len(parts) == 2 and call.command == "GET":
            return 200, {"members": [self.members[parts[1]]]}, {}
        if parts == ["ring"]:
            return 200, self.ring(), {}
        return self.deed(call, body, *parts[1:])

    def deed(self, call, body, name, deed=""):
        if deed == "chores":
            self.orders.append((name, body))
            return 202, {"chore": body["chore"], "members": [{"name": name, "order": 1}]}, {}
        if deed == "evacuate" and self.uploads:
            self.uploads -= 1
            return 202, self.members[name], {}
        if deed in ("drain", "evacuate", "undrain"):
            if self.last and deed != "undrain" and "force=true" not in call.path:
                raise Refused(409, "conflict", "no other member is active")
            self.members[name].update(drained={"by": self.user, "since": "2026-11-22T15:00:00Z"})
            if deed == "undrain":
                del self.members[name]["drained"]
            self.tell("members", {"changed": [self.members[name]], "gone": []})
            self.tell("ring", self.ring())
            return 200, self.members[name], {}
        del self.members[name]
        self.tell("members", {"changed": [], "gone": [name]})
        return 204, None, {}

    def ring(self):
        owners = [m for m in self.members.values() if m["state"] == "active" and "drained" not in m]
        return {"epoch": 4, "members": [{"name": m["name"], "zone": m["zone"], "share": 1 / len(owners)} for m in owners]}

    def figures(self):
        now, n = int(time.time()) // 10 * 10, 360
        wave = [(i * 37 % 97) / 97 for i in range(n)]
        sums = {"t": [now - 10 * (n - 1 - i) for i in range(n)], "rate": [120 + 60 * w for w in wave], "errors": [w / 9 for w in wave],
                "bytesIn": [2e6 * w for w in wave], "bytesOut": [3e7 * (0.4 + w) for w in wave], "p50": [700 + 200 * w for w in wave],
                "p99": [4000 + 3000 * w for w in wave], "open": [int(9 * w) for w in wave], "active": [3] * n, "lost": [0] * n,
                "storage": [5 << 30] * n, "repositories": [12] * n, "quotaMost": [0.5] * n}
        return {"everySeconds": 10, "quotas": self.quotas, "sums": sums, "members": {"worker-0": {"t": sums["t"][-60:], "rate": sums["rate"][-60:], "p99": sums["p99"][-60:]}}}

    def usage_by(self, asked):
        """Users alone, a page of three."""
        sums = {}
        for row in self.usage:
            sum_of = sums.setdefault(row["owner"], {"user": row["owner"], "keys": 0, "calls": 0, "bytesIn": 0, "bytesOut": 0})
            sum_of["keys"] += 1
            for name in ("calls", "bytesIn", "bytesOut"):
                sum_of[name] += row[name]
        behind = [sums[name] for name in sorted(sums) if name > asked.get("last", "")]
        return {asked["by"] + "s": behind[:3] if asked["by"] == "user" else [], "more": len(behind) > 3,
                "sums": {name: sum(row[name] for row in self.usage) for name in ("calls", "bytesIn", "bytesOut")}}

    def get_usage(self, asked):
        if "repository" in asked:
            return 200, {"repositories": self.repositories, "more": False}, {}
        if "by" in asked:
            return 200, self.usage_by(asked), {}
        rows = [r for r in self.usage if asked.get("apikey", r["apikey"]) == r["apikey"]]
        return 200, {"usage": rows, "sums": {k: sum(r[k] for r in rows) for k in ("calls", "bytesIn", "bytesOut")}, "quotas": [q for q in self.quotas if asked.get("apikey", q["subject"]) == q["subject"]], "more": False}, {}

    @staticmethod
    def get_access(asked):
        allowed = asked.get("user") == "admin"
        return 200, {"allowed": allowed, "reason": "role" if allowed else "no_rule", "text": "the role admin" if allowed else "nothing in the policy that decides allows it",
                     "policy": "team/**", "repository": asked["repository"], "action": asked["action"],
                     "who": {"anonymous": "user" not in asked and "key" not in asked, "user": asked.get("user", ""), "groups": ["dev"], "admin": allowed},
                     "policies": 2, "matching": [{"policy": "team/**", "decides": True}, {"policy": "**", "decides": False}], "revision": 3}, {}

    def get_audit(self, asked):
        return 200, {"items": [r for r in self.audit if all(r.get(k) == v for k, v in asked.items() if k in ("user", "kind", "id"))]}, {}
