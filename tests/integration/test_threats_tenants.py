"""T26, T27 and the defects that brought peers their CVEs: two tenants at one operator, every credential of one against every endpoint and id of the other, at every
daemon; secrets through every endpoint and then in every sink; paths, depths and races."""
import base64
import http.client
import json
import os
import re
import sqlite3
import threading
import time

from plain_formats import Identity, cbor_decode, cbor_encode, cose_open, cose_sign1
from scenario import check, equal, main, scenario
from world import Party, World, address, http_ask, program, raw_exchange, tls, until

CANARY = "Canary7b1f9e52"
OPEN_ATTESTATION = {"/api/v1/attestation/" + path for path in ("nonce", "certs", "history", "policies/{name}", "reference-values/{name}")}
OPEN_LISTS = {"/api/v1/attestation/policies", "/api/v1/attestation/reference-values"}  # to be read; what is sent there needs a token
VERIFIER = "/api/v1/attestation/verify"


class Server:
    """One daemon: its routes from its own document, who may ask it, under which audience."""

    def __init__(self, name, url, audience, document, ids, open_routes):
        self.name, self.url, self.audience, self.ids, self.open = name, url, audience, ids, open_routes
        paths = http_ask(url, "GET", document).json()["paths"]
        self.routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]

    def path(self, path, ids=None):
        thing = path.split("/")[-1 if path.startswith("/v1") else 3] if "{" in path else ""
        for key, value in (ids or self.ids).items():
            kind, _, name = key.rpartition(":")
            if not kind or path.split("{")[0].rstrip("/").endswith(kind):
                path = path.replace("{" + name + "}", value)
        check("{" not in path, f"{self.name}: {path} has no id ({thing})")
        return path

    def ask(self, method, path, token=None, body=b"\xa0", ids=None):
        headers = {"Content-Type": "application/cbor" if path.startswith("/v1/") else "application/octet-stream"}
        if "events" in path:
            return stream_head(self.url, self.path(path, ids), token)
        return http_ask(self.url, method, self.path(path, ids), body=body if method in ("POST", "PUT") else None, headers=headers, token=token)


class Head:
    def __init__(self, status):
        self.status, self.body, self.headers = status, b"", {}


def stream_head(url, path, token):
    """Of an event stream only the head is read; of a refusal all."""
    connection = http.client.HTTPSConnection(*address(url), context=tls(), timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer " + token} if token else {})
        answer = connection.getresponse()
        if answer.status == 200:
            return Head(200)
        one = Head(answer.status)
        one.body = answer.read()
        return one
    finally:
        connection.close()


class Place:
    """Tenant A: owner north with its key service, an analyst, one run that is done. Tenant B at the same operator: a member in good standing of an agreement of its own."""

    def __init__(self):
        self.world = w = World(owners=("north",), row_count=200)
        self.run_id = w.analyst.must_json("run", "start", w.agreement, "means", "--watch")["id"]
        self.north, self.analyst = w.owners[0], w.analyst
        self.dataset = self.north.ask("GET", "/api/v1/datasets").json()["datasets"][0]
        a = w.agreement
        self._second_tenant()
        self.b_token_source = self.b_owner.identity()
        operator_ids = {"agreements:id": a, "datasets:version": self.dataset["version"], "runs:id": self.run_id, "outputs:id": self.run_id, "receipts:id": self.run_id,
                        "explain:id": self.run_id, "path": "0/000.p/1", "name": "here", "records:id": "00" * 16}
        for answer in (self.north.push_policy("here", 1, {}), self.north.push_values("here", 1, [])):
            equal(answer.status, 200, repr(answer))
        info = w.operator_info
        self.operator = Server("operator", info["url"], info["audience"], "/api/v1/openapi.json", operator_ids,
                               {"/api/v1/info", "/api/v1/compute/status", "/api/v1/compute/attestation", "/log/checkpoint", "/log/tile/{path}", "/healthz", "/readyz", "/metrics",
                                "/api/v1/openapi.json"} | OPEN_ATTESTATION)
        key = http_ask(self.north.info["url"], "GET", "/v1/keys", token=self.north.identity().token(self.north.info["spki"])).json()["keys"][0]
        self.kms = Server("key service", self.north.info["url"], self.north.info["spki"], "/v1/openapi.json",
                          {"runs:id": self.run_id, "keys:id": key["id"], "budgets:dataset": key["dataset"], "explain:id": "00" * 16},
                          {"/v1/info", "/v1/nonce", "/healthz", "/readyz", "/metrics", "/v1/openapi.json"})
        self.everything = (self.operator, self.kms)

    def _second_tenant(self):
        w = self.world
        self.b_owner, self.b_analyst = Party(w, "south"), Party(w, "other-analyst")
        first = w.agreement, w.owners, w.analyst
        w.owners, w.analyst = [self.b_owner], self.b_analyst
        w._make_parties()
        text = w.template_text(title="another study").replace("analyst.party", "other-analyst.party").replace("[analyst]", "[other-analyst]")
        template, file = w.write("b.yaml", text), w.path("b.agreement")
        self.b_analyst.must("agreement", "new", template, "--out", file)
        for party in (self.b_analyst, self.b_owner):
            party.must("agreement", "sign", file)
        for party in (self.b_analyst, self.b_owner):
            self.b_agreement = party.must_json("agreement", "submit", file)["id"]
        w.agreement, w.owners, w.analyst = first

    def state(self):
        """What tenant A owns, as the files say it: no refused request may change a byte of it."""
        kept = {}
        for path, tables in ((os.path.join(self.world.operator_home, "operator.db"), ("agreement", "member", "scope", "orders", "dataset", "run")),
                             (os.path.join(self.north.kms_home, "kms.db"), ("deks", "agreements", "members", "orders", "ledger", "balances", "releases", "commits"))):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                for table in tables:
                    kept[path, table] = sorted(map(repr, db.execute(f"SELECT * FROM {table}")))
        return kept

    def close(self):
        self.world.close()


def plain(answer):
    """A problem document without what names this one request."""
    text = answer.body.decode(errors="replace")
    return re.sub(r'"(instance|reference)":\s*"[^"]*"', "", text)


@scenario("T27_every_route_of_every_daemon without, with expired, future, foreign and broken credentials", seconds=90)
def every_route(place):
    now, wrong, count = int(time.time()), [], 0
    for server in place.everything:
        insider = place.north.identity()
        tokens = {"none": None, "expired": insider.token(server.audience, issued=now - 4000), "not yet": insider.token(server.audience, issued=now + 4000),
                  "for another server": insider.token("00" * 32), "another key under the name": Identity(insider.name).token(server.audience),
                  "of nobody": Identity("nobody").token(server.audience), "cut": insider.token(server.audience)[:-3], "not a token": CANARY}
        for method, path in server.routes:
            for what, token in tokens.items():
                answer, count = server.ask(method, path, token), count + 1
                if path in server.open or method == "GET" and path in OPEN_LISTS:
                    expected = {200}
                elif path == VERIFIER:
                    expected = {415}  # open, but takes evidence only
                elif path == "/v1/runs/{id}/shares":
                    expected = {200}  # sealed to the recipients; whoever knows the random id may carry them
                elif path in ("/api/v1/parties", "/v1/agreements", "/v1/orders", "/v1/release", "/v1/renew", "/v1/commit", "/v1/explain/{id}") and method + path not in (
                        "GET/api/v1/parties", "GET/v1/agreements"):
                    expected = {400, 403, 404}  # speaks by its own signatures; this body has none
                else:
                    expected = {401}
                if answer.status not in expected:
                    wrong.append(f"{server.name} {method} {path}, {what}: {answer.status}")
    check(not wrong, "; ".join(wrong))
    print(f"# {count} requests over {sum(len(s.routes) for s in place.everything)} routes")


@scenario("T27_witness: its routes take signed things or nothing")
def witness_routes(place):
    url = place.world.witness_info["url"]
    for token in (None, place.north.identity().token(place.world.witness_info["spki"])):
        for method, path, body, expected in (("GET", "/info", None, {200}), ("POST", "/add-checkpoint", b"old 0\n\nx\n", {400, 403, 404}), ("POST", "/logs", b"x", {400, 403, 404}),
                                             ("POST", "/logs", place.world.operator_info["log"]["vkey"].replace("operator", "other").encode(), {400, 403}),
                                             ("GET", "/state", None, {404}), ("DELETE", "/info", None, {405}), ("GET", "/add-checkpoint", None, {405})):
            answer = http_ask(url, method, path, body=body, token=token)
            check(answer.status in expected, f"{method} {path}: {answer!r}")


@scenario("T26_cross_tenant_matrix: another tenant's tokens open nothing, change nothing, and learn not even what exists", seconds=90)
def cross_tenant(place):
    before, wrong, count = place.state(), [], 0
    absent = {"agreements:id": "ab" * 32, "datasets:version": "ab" * 32, "runs:id": "ab" * 16, "outputs:id": "ab" * 16, "receipts:id": "ab" * 16, "explain:id": "ab" * 16,
              "keys:id": "ab" * 16, "budgets:dataset": "ab" * 32, "path": "0/000.p/1", "name": "there", "records:id": "cd" * 16}
    lists = {"/api/v1/parties", "/api/v1/agreements", "/api/v1/datasets", "/api/v1/runs", "/api/v1/outputs", "/api/v1/receipts", "/events", "/api/v1/attestation/records"}
    for who in (place.b_owner, place.b_analyst):
        for server in place.everything:
            token = who.identity().token(server.audience)
            for method, path in server.routes:
                if path in server.open or path in ("/v1/runs/{id}/shares", VERIFIER) or method == "GET" and path in OPEN_LISTS:
                    continue
                answer, count = server.ask(method, path, token), count + 1
                if method == "GET" and path in lists:
                    good = answer.status == 200 and (path in ("/events", "/api/v1/parties") or place.run_id not in answer.body.decode())
                    good = good and (path != "/api/v1/agreements" or place.world.agreement not in answer.body.decode())
                elif server is place.kms:
                    good = answer.status in (400, 401, 403, 404)  # a key service knows its own members only
                elif "{" in path:
                    good = answer.status == 404
                else:
                    good = answer.status in (400, 403, 404)
                if good and "{" in path:  # no oracle: what is there and what is not answer alike
                    other = server.ask(method, path, token, ids=absent)
                    good = other.status == answer.status and plain(other).replace("ab" * 32, "ID").replace("ab" * 16, "ID") == re.sub(
                        "|".join(re.escape(v) for v in server.ids.values()), "ID", plain(answer))
                if not good:
                    wrong.append(f"{who.name} at {server.name}: {method} {path}: {answer!r}")
    check(not wrong, "; ".join(wrong))
    equal(place.state(), before, "the state of tenant A")
    print(f"# {count} requests")


@scenario("T26_signed_objects_of_another_tenant are refused for this one (CVE-2026-40264)")
def foreign_objects(place):
    before = place.state()
    b, w = place.b_owner, place.world
    order = b.cli("agreement", "stop", w.path("world.agreement"))
    check(order.code != 0, repr(order))
    token = b.identity().token(place.operator.audience)
    started = b.cli("run", "start", w.path("world.agreement"), "means")
    check(started.code != 0, repr(started))
    kept = w.path("foreign.request")
    place.analyst.must("run", "start", w.agreement, "means", "--request-out", kept, "--watch")
    mine = place.state()
    with open(kept, "rb") as file:  # a stolen request is its starter's still
        answer = http_ask(place.operator.url, "POST", "/api/v1/runs", body=file.read(), headers={"Content-Type": "application/cose"}, token=token)
    check(answer.status in (403, 404), repr(answer))
    with open(kept, "rb") as file:
        asked = cose_open(file.read())[1]
    for starter in ("analyst", "south"):  # a request of their own making for our data
        fields = dict(cbor_decode(asked), starter=starter, run_id=os.urandom(16))
        made = cose_sign1(b.identity().seed, "application/cloister-request+cbor", cbor_encode(fields))
        answer = http_ask(place.operator.url, "POST", "/api/v1/runs", body=made, headers={"Content-Type": "application/cose"}, token=token)
        check(answer.status in (403, 404), repr(answer))
    for path in (f"/api/v1/runs/{place.run_id}/cancel", f"/api/v1/agreements/{w.agreement}/orders"):
        equal(http_ask(place.operator.url, "POST", path, body=b"", token=token).status, 404, path)
    now = place.state()
    equal(now, mine, "the state of tenant A")
    check(before.keys() == now.keys(), "tables")


@scenario("CVE_2026_3605_dot_segments: no spelling of a path reaches another route or file")
def dot_segments(place):
    token = place.analyst.identity().token(place.operator.audience)
    for path in ("/api/v1/runs/../../../healthz", "/api/v1/./runs", "/api/v1//runs", "/api/v1/runs/%2e%2e/info", "/api/v1/%2E/info", "/api/v1/runs/..%2finfo", "/api/v1/runs%2f",
                 "/api/v1/runs/%2e%2e%2f%2e%2e%2fhealthz", "/log/tile/../checkpoint", "/log/tile/0/%2e%2e/%2e%2e/checkpoint", "/log/tile/..%2f..%2foperator.db", "/log/tile//etc/passwd",
                 "/log/tile/0/000%00", "/API/v1/runs", "/api/v1/runs/", "/api/v1/runs;x", "/api/v1/runs/%252e%252e/info", "/healthz/", "//healthz", "/\\healthz", "/api/v1/%72uns"):
        status = int(raw_exchange(place.operator.url, f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()).split()[1])
        check(status in (400, 404), f"{path}: {status}")
    for path in ("/v1/keys/../info", "/v1/keys/%2e%2e/info", "/v1/./keys", "/v1/keys/%2e%2e/%2e%2e/metrics"):
        status = int(raw_exchange(place.kms.url, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).split()[1])
        check(status in (400, 401, 404), f"{path}: {status}")
        check(status != 200, path)


def rss(daemon):
    with open(f"/proc/{daemon.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) >> 10


@scenario("CVE_2025_6203_depth_and_size: a hundred thousand levels, items and megabytes are refused, quickly and in little memory")
def depth_and_size(place):
    north, depth = place.north, 100000
    token = north.identity().token(place.kms.audience)
    before = rss(north.kms), rss(place.world.operator)
    budget = "/v1/budgets/" + place.kms.ids["budgets:dataset"]
    for body in (b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b'{"limit":' + b"9" * 3000 + b"}", b'{"limit":"1","limit":"2"}'):
        began = time.monotonic()
        answer = http_ask(place.kms.url, "POST", budget, body=body, headers={"Content-Type": "application/json"}, token=token)
        check(answer.status in (400, 413, 422), f"{body[:12]}: {answer!r}")
        check(time.monotonic() - began < 2, "it took too long")
    for body in (b"\x81" * depth, b"\xa1\x61a" * depth, b"\x9b" + b"\x7f" * 8, b"\xbb" + b"\x00" * 7 + b"\xff", b"\x5b" + b"\x7f" * 8, b"\xd2" * depth, os.urandom(4 << 20)):
        for path in ("/v1/release", "/v1/renew", "/v1/commit", "/v1/agreements", "/v1/orders"):
            answer = http_ask(place.kms.url, "POST", path, body=body[:1 << 16] if path in ("/v1/commit", "/v1/orders") else body, headers={"Content-Type": "application/cbor"})
            check(answer.status in (400, 413, 429), f"{path} {body[:4]}: {answer!r}")
    answer = http_ask(place.operator.url, "POST", "/api/v1/parties", body=b"\x81" * 60000)
    equal(answer.status, 400, "parties")
    after = rss(north.kms), rss(place.world.operator)
    check(after[0] - before[0] < 48 and after[1] - before[1] < 48, f"memory in MiB: {before} before, {after} after")


@scenario("CVE_2026_46405_error_gives_no_credential: whatever is refused carries no key, share or nonce")
def error_without_credential(place):
    token = place.analyst.identity().token(place.operator.audience)
    for server, method, path, given in ((place.kms, "POST", "/v1/release", b"\xa0"), (place.kms, "POST", "/v1/renew", os.urandom(100)), (place.kms, "POST", "/v1/commit", b"\xa0"),
                                        (place.kms, "GET", "/v1/keys", None), (place.operator, "GET", "/api/v1/outputs/" + "ab" * 16, None),
                                        (place.operator, "GET", "/api/v1/outputs/" + "ab" * 16 + "/shares", None)):
        answer = http_ask(server.url, method, path, body=given, headers={"Content-Type": "application/cbor"}, token=token if server is place.operator else None)
        check(answer.status >= 400, repr(answer))
        check(answer.headers["content-type"].startswith("application/problem+json"), repr(answer))
        known = {"type", "title", "status", "code", "detail", "instance", "claim", "expected", "actual", "source", "remedy"}
        check(set(answer.json()) <= known and len(answer.body) < 4096, repr(answer))
        check(not re.search(rb"[A-Za-z0-9_-]{86,}", answer.body), repr(answer))
        check("set-cookie" not in answer.headers and "authorization" not in answer.headers, repr(answer.headers))


@scenario("CVE_2025_62513_canaries: secrets sent through every endpoint stand in no log, database, metric or answer", seconds=90)
def canaries(place):
    w, sent = place.world, 0
    insider = place.north.identity()
    marks = []
    for server in place.everything:
        good = insider.token(server.audience)
        marks.append(good.encode())
        for number, (method, path) in enumerate(server.routes):
            if path == "/v1/keys/{id}/destroy" or path.startswith("/v1/keys/{id}") or path == "/v1/keys/rotate" or path.endswith("/cancel"):
                continue  # those would do what they say
            secret = f"{CANARY}{number:04d}"
            for token in (good, secret + "token"):
                for body in (json.dumps({"limit": secret, "key": secret}).encode(), cbor_encode({"token": secret, "dek": secret.encode()}), secret.encode()):
                    server.ask(method, path, token, body=body)
                    sent += 1
            http_ask(server.url, "GET", server.path(path) + f"?token={secret}&key={secret}" if "events" not in path else "/healthz",
                     headers={"Cookie": secret, "X-Api-Key": secret, "Authorization": "Basic " + base64.b64encode(secret.encode()).decode()})
    marks.append(CANARY.encode())
    time.sleep(0.5)
    control = w.write("control", CANARY)  # the search finds what is there

    def search():
        for folder, _, files in os.walk(w.folder):
            for name in files:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                yield from (f"{os.path.relpath(path, w.folder)} has {mark[:24]!r}" for mark in marks if mark in data)
    equal(list(search()), [f"control has {CANARY.encode()!r}"], "files with secrets")
    os.remove(control)
    found = []
    for server in place.everything:
        text = http_ask(server.url, "GET", "/metrics").body
        found += [f"{server.name}: metrics have {mark[:24]!r}" for mark in marks if mark in text]
    check(not found, "; ".join(found[:10]))
    print(f"# {sent} requests with secrets")


@scenario("CVE_2026_1035_one_of_many: sixty-four times the same run request at once count once", seconds=60)
def once(place):
    w = place.world
    kept = w.path("race.request")
    place.analyst.must("run", "start", w.agreement, "means", "--request-out", kept, "--watch")
    with open(kept, "rb") as file:
        body = file.read()
    runs = len(place.analyst.ask("GET", "/api/v1/runs?limit=100").json()["runs"])
    spent = [row[0] for row in sqlite3.connect(f"file:{place.north.kms_home}/kms.db?mode=ro", uri=True).execute("SELECT count(*) FROM releases")]
    answers = []
    token = place.analyst.identity().token(place.operator.audience)
    lanes = [threading.Thread(target=lambda: answers.append(http_ask(place.operator.url, "POST", "/api/v1/runs", body=body, headers={"Content-Type": "application/cose"}, token=token)))
             for _ in range(64)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    equal({one.status for one in answers} - {200, 202, 409, 503}, set(), "answers")
    equal(len({one.json()["id"] for one in answers if one.status < 300}), 1, "runs that it made")
    equal(len(place.analyst.ask("GET", "/api/v1/runs?limit=100").json()["runs"]), runs, "runs")
    equal([row[0] for row in sqlite3.connect(f"file:{place.north.kms_home}/kms.db?mode=ro", uri=True).execute("SELECT count(*) FROM releases")], spent, "releases")


@scenario("T24_amendment_widened_by_one_field: it is flagged, and no signature less than all puts it in force")
def widened_amendment(place):
    w = place.world
    old = w.path("world.agreement")
    text = w.template_text().replace('format: cloister-agreement/1\n', f'format: cloister-agreement/1\nepoch: 2\nprev: {w.agreement}\nlineage: {w.agreement}\n', 1)
    for what, changed in (("runs[means].recipients", text.replace("recipients: [analyst]", "recipients: [analyst, north]", 1)), ("runs[means].count_max", text.replace("count_max: 50", "count_max: 51", 1)),
                          ("telemetry", text), ("runtimes[sim].may_lack", text)):
        if what == "telemetry":
            text_of_old = w.write("narrow.yaml", w.template_text().replace("[counts, timings, states]", "[counts]"))
            place.analyst.must("agreement", "new", text_of_old, "--out", w.path("narrow.agreement"))
            before = w.path("narrow.agreement")
        elif what.endswith("may_lack"):
            text_of_old = w.write("strict.yaml", re.sub(r", may_lack: \[[^]]*\]", "", w.template_text()))
            place.analyst.must("agreement", "new", text_of_old, "--out", w.path("strict.agreement"))
            before = w.path("strict.agreement")
        else:
            before = old
        template, file = w.write("wide.yaml", changed), w.path("wide.agreement")
        if os.path.exists(file):
            os.remove(file)
        place.analyst.must("agreement", "new", template, "--out", file)
        shown = place.analyst.cli("agreement", "diff", before, file, "--json")
        widening = [one["path"] for one in shown.json()["changes"] if one["widens"]]
        check(what in widening, f"{what}: {widening}")
    # All but one sign: nobody takes it, and the one in force stays so.
    place.analyst.must("agreement", "sign", file)
    submitted = place.analyst.cli("agreement", "submit", file, "--json")
    check(submitted.code != 0 or submitted.json()["state"] == "proposed", repr(submitted))
    with open(file, "rb") as data:
        answer = http_ask(place.kms.url, "POST", "/v1/agreements", body=data.read())
    equal((answer.status, answer.json()["claim"]), (403, "agreement.signatures"), repr(answer))
    check("north" in answer.json()["actual"], repr(answer))
    started = place.analyst.cli("run", "start", file, "means")
    check(started.code == 1, repr(started))
    equal(w.end_of(w.start_run("means"))["state"], "done", "the agreement in force")


if __name__ == "__main__":
    raise SystemExit(main(Place, Place.close))
