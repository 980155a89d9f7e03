"""The operator's HTTP interface: who may call which route, what strange requests get, the exact shapes, and a log that recomputes."""
import base64
import hashlib
import json
import re
import shutil
import socket
import time

from plain_formats import Identity, checkpoint_open, leaf_hash, note_verified, tile_number, tree_root, vkey_open, cbor_decode, cose_check
from scenario import Skip, check, equal, main, scenario
from world import World, address, http_ask, raw_exchange, run, tls, until

OPEN = {("get", "/api/v1/info"), ("get", "/api/v1/compute/status"), ("get", "/api/v1/compute/attestation"), ("post", "/api/v1/parties"),
        ("get", "/log/checkpoint"), ("get", "/log/tile/{path}"), ("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics"),
        ("get", "/api/v1/openapi.json")} | {("get", "/api/v1/attestation/" + path) for path in (
            "nonce", "certs", "history", "policies", "policies/{name}", "reference-values", "reference-values/{name}")}
VERIFIER = ("post", "/api/v1/attestation/verify")  # open too, but takes evidence only
# What a registered stranger gets on things that are not his: lists are empty, single things do not exist.
STRANGER = {("get", "/api/v1/parties"): 200, ("get", "/api/v1/agreements"): 200, ("get", "/api/v1/datasets"): 200, ("get", "/api/v1/runs"): 200,
            ("get", "/api/v1/outputs"): 200, ("get", "/api/v1/receipts"): 200, ("get", "/events"): 200, ("get", "/api/v1/attestation/records"): 200}


class Place:
    """A world with one run that is done, a registered stranger, and what a route needs in its path and body."""

    def __init__(self):
        self.world = World(owners=("north",), row_count=200)
        self.url, self.audience = self.world.operator_info["url"], self.world.operator_info["audience"]
        w = self.world
        self.run_id = w.analyst.must_json("run", "start", w.agreement, "means", "--watch")["id"]
        self.version = w.owners[0].ask("GET", "/api/v1/datasets").json()["datasets"][0]["version"]
        for answer in (w.owners[0].push_policy("here", 1, {}), w.owners[0].push_values("here", 1, [])):
            equal(answer.status, 200, repr(answer))
        self.stranger = Identity("mallory")
        equal(http_ask(self.url, "POST", "/api/v1/parties", body=self.stranger.party_file()).status, 200, "the stranger is registered")
        self.member = w.analyst.identity()
        self.document = http_ask(self.url, "GET", "/api/v1/openapi.json").json()
        self.routes = [(method, path) for path, methods in self.document["paths"].items() for method in methods]

    def real_path(self, path):
        """The path with ids of things that exist."""
        thing = path.split("/")[3] if path.startswith("/api/v1/") else ""
        one = {"agreements": self.world.agreement, "datasets": self.version}.get(thing, self.run_id)
        path = path.replace("{id}", one).replace("{version}", self.version).replace("{name}", "here")
        return path.replace("{path}", "0/000.p/1")

    def body(self, method, path):
        if method not in ("post", "put"):
            return None
        w = self.world
        with open(w.path("world.agreement"), "rb") as file:
            return {"/api/v1/parties": self.stranger.party_file(), "/api/v1/agreements": file.read()}.get(path, b"\xa0")

    def ask_route(self, method, path, token=None):
        """Status of a route; of an event stream only the head is read."""
        host, port = address(self.url)
        body = self.body(method, path) or b""
        head = f"{method.upper()} {self.real_path(path)} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        if method in ("post", "put"):
            head += f"Content-Length: {len(body)}\r\nContent-Type: application/octet-stream\r\n"
        with socket.create_connection((host, port), 10) as plain, tls().wrap_socket(plain) as channel:
            channel.settimeout(10)
            channel.sendall(head.encode() + b"\r\n" + body)
            back = b""
            while b"\r\n" not in back:
                piece = channel.recv(4096)
                if not piece:
                    break
                back += piece
        return int(back.split()[1]) if back else 0

    def close(self):
        self.world.close()


def table(place, token, wanted):
    wrong = []
    for method, path in place.routes:
        status = place.ask_route(method, path, token)
        expected = wanted(method, path)
        if status not in expected:
            wrong.append(f"{method} {path}: {status}, not {sorted(expected)}")
    check(not wrong, "; ".join(wrong))


@scenario("openapi document names every route of the interface")
def openapi(place):
    document = place.document
    equal(document["openapi"][:3], "3.1", "version")
    paths = set(document["paths"])
    for wanted in ("/api/v1/compute/status", "/api/v1/compute/attestation", "/api/v1/parties", "/api/v1/agreements", "/api/v1/datasets", "/api/v1/runs",
                   "/api/v1/outputs", "/api/v1/receipts", "/healthz", "/readyz", "/metrics", "/log/checkpoint", "/events"):
        check(wanted in paths, f"{wanted} is missing")
    names = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document))
    check(set(names) <= set(document["components"]["schemas"]), "a schema that is named is not there")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            check(operation["summary"] and operation["responses"], f"{method} {path} says nothing of itself")


def closed(method, path):
    return {415} if (method, path) == VERIFIER else {200} if (method, path) in OPEN else {401}


@scenario("no route answers without credentials but the public ones")
def without_credentials(place):
    table(place, None, closed)


@scenario("an expired token is nobody's")
def expired(place):
    table(place, place.member.token(place.audience, issued=int(time.time()) - 4000), closed)


@scenario("tokens for another server, from an unknown key, with a long life, under another name are nobody's")
def false_tokens(place):
    unknown, stranger = Identity("nobody"), place.stranger
    for token in (place.member.token("00" * 32), unknown.token(place.audience), place.member.token(place.audience, lifetime=4000),
                  stranger.token(place.audience, party="analyst"), place.member.token(place.audience, issued=int(time.time()) + 4000), "", "x.y.z",
                  place.member.token(place.audience)[:-2]):
        answer = http_ask(place.url, "GET", "/api/v1/runs", token=token)
        equal(answer.status, 401, f"token {token[:24]}…")
        check("www-authenticate" in answer.headers, "a 401 says how to authenticate")
        equal(answer.json()["status"], 401, "problem document")


@scenario("a stranger's token opens nothing of others")
def foreign(place):
    def wanted(method, path):
        if closed(method, path) != {401}:
            return closed(method, path)
        if (method, path) in STRANGER:
            return {STRANGER[method, path]}
        if method == "get" or "{" in path:
            return {403, 404}
        return {400, 403, 404}
    token = place.stranger.token(place.audience)
    table(place, token, wanted)
    for path, name in (("agreements", "agreements"), ("datasets", "datasets"), ("runs", "runs"), ("outputs", "outputs"), ("receipts", "receipts")):
        equal(http_ask(place.url, "GET", "/api/v1/" + path, token=token).json()[name], [], f"the stranger's {path}")


@scenario("an owner does not get the output that the agreement gives to the analyst")
def owner_no_output(place):
    answer = place.world.owners[0].ask("GET", "/api/v1/outputs/" + place.run_id)
    equal(answer.status, 403, repr(answer))
    equal(answer.json()["claim"], "output.recipients", "claim")
    for part in ("expected", "actual", "source", "remedy"):
        check(answer.json()[part], f"{part} is empty")


@scenario("compute/status has exactly the promised shape")
def compute_status(place):
    status = until(lambda: (lambda s: s if s["attestation_status"] != "pending" else None)(http_ask(place.url, "GET", "/api/v1/compute/status").json()), 10, "attested")
    equal(sorted(status), ["attestation_status", "available_models", "status", "system_metrics", "tee_technology"], "members")
    equal((status["status"], status["tee_technology"], status["attestation_status"]), ("operational", "SIM", "verified"), "values")
    equal(sorted(status["system_metrics"]), ["available_memory", "cpu_utilization", "pending_requests"], "metrics")
    metrics = status["system_metrics"]
    check(re.fullmatch(r"[0-9]+GB", metrics["available_memory"]), metrics["available_memory"])
    check(isinstance(metrics["cpu_utilization"], float) and 0 <= metrics["cpu_utilization"] <= 1, "cpu_utilization")
    check(isinstance(metrics["pending_requests"], int) and isinstance(status["available_models"], list), "types")


@scenario("compute/attestation has exactly the promised shape and is bound to the nonce")
def compute_attestation(place):
    nonce = bytes(range(32))
    answer = http_ask(place.url, "GET", "/api/v1/compute/attestation?nonce=" + nonce.hex()).json()
    equal(sorted(answer), ["attestation_report", "tee_type", "timestamp", "verification_instructions", "verification_service"], "members")
    equal(answer["tee_type"], "SIM", "tee_type")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["timestamp"]), answer["timestamp"])
    check(":" in answer["verification_service"] and len(answer["verification_instructions"]) > 40, "service and instructions")
    bundle = cbor_decode(base64.b64decode(answer["attestation_report"]))
    report_data = hashlib.sha512(b"cloister/v1 attestation\0" + nonce).digest()
    equal(bundle["report"][0x50:0x90], report_data, "report_data")
    equal(bundle["report"][0x90:0xc0].hex(), place.world.operator_info["tee"]["measurement"], "measurement")
    other = cbor_decode(base64.b64decode(http_ask(place.url, "GET", "/api/v1/compute/attestation").json()["attestation_report"]))
    check(other["report"][0x50:0x90] != report_data, "the nonce makes no difference")
    for bad in ("zz", "00", "00" * 65, "0g" * 16, "0" * 33):
        equal(http_ask(place.url, "GET", "/api/v1/compute/attestation?nonce=" + bad).status, 400, f"nonce {bad[:8]}")


def status_of(place, data, seconds=5):
    back = raw_exchange(place.url, data, seconds)
    return int(back.split()[1]) if back.startswith(b"HTTP/1.1 ") else 0, back


@scenario("requests that could be read in two ways are refused, and their connection ends")
def smuggling(place):
    start = b"POST /api/v1/parties HTTP/1.1\r\nHost: x\r\n"
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for name, data in {
            "length and chunked": start + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
            "two lengths": start + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + hidden,
            "two equal lengths": start + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" + hidden,
            "list of lengths": start + b"Content-Length: 4, 4\r\n\r\nabcd" + hidden,
            "signed length": start + b"Content-Length: +4\r\n\r\nabcd" + hidden,
            "hexadecimal length": start + b"Content-Length: 0x4\r\n\r\nabcd" + hidden,
            "blank before the colon": start + b"Content-Length : 4\r\n\r\nabcd" + hidden,
            "folded header": start + b"Content-Length: 4\r\n folded\r\n\r\nabcd" + hidden,
            "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
            "bare CR in a value": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
            "NUL in a value": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
            "two hosts": b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
            "unknown coding": start + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hidden,
            "chunk extension with LF": start + b"Transfer-Encoding: chunked\r\n\r\n4\nabcd\r\n0\r\n\r\n" + hidden,
            "huge chunk size": start + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + hidden,
            "blank in the target": b"GET /healthz x HTTP/1.1\r\nHost: x\r\n\r\n",
            "HTTP/0.9": b"GET /healthz\r\n\r\n",
            "HTTP/3.0": b"GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n",
    }.items():
        status, back = status_of(place, data)
        check(400 <= status <= 505, f"{name}: {back[:120]!r}")
        equal(len(re.findall(rb"HTTP/1\.1 \d{3} ", back)), 1, f"{name}: answers on one connection")


@scenario("404, 405, 406, 411, 413, 414, 415, 431 where they belong")
def statuses(place):
    for wanted, method, path, headers, body in (
            (404, "GET", "/nothing", {}, None), (404, "GET", "/api/v1/runs/" + "0" * 31, {}, None), (404, "GET", "/api/v1/runs/" + "00" * 16, {}, None),
            (404, "GET", "/api/v1/../healthz", {}, None), (404, "GET", "/log/tile/0/000.p/256", {}, None), (404, "GET", "/log/tile/9/zzz", {}, None),
            (405, "DELETE", "/api/v1/runs", {}, None), (405, "POST", "/healthz", {}, b""), (406, "GET", "/api/v1/compute/status", {"Accept": "image/png"}, None),
            (413, "POST", "/api/v1/parties", {}, b"x" * 70000), (414, "GET", "/" + "a" * 9000, {}, None), (431, "GET", "/healthz", {"X": "a" * 17000}, None)):
        answer = http_ask(place.url, method, path, body=body, headers=headers, token=place.member.token(place.audience))
        equal(answer.status, wanted, f"{method} {path[:40]}")
        if method != "HEAD":
            equal(answer.headers["content-type"].split(";")[0], "application/problem+json", f"{method} {path[:40]}")
            check(answer.json()["detail"] and answer.json()["instance"], "detail and instance")
        if wanted == 405:
            check("allow" in answer.headers, "405 says what is allowed")
    budget = place.world.owners[0]
    answer = http_ask(budget.info["url"], "POST", "/v1/budgets/" + "00" * 32, body=b"<x/>", headers={"Content-Type": "text/xml"},
                      token=budget.identity().token(budget.info["spki"]))
    check(answer.status in (400, 415), repr(answer))


@scenario("a HEAD request has no body, an OPTIONS request no secrets")
def head(place):
    status, back = status_of(place, b"HEAD /api/v1/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    equal(status, 200, "status")
    equal(back.partition(b"\r\n\r\n")[2], b"", "body")
    status, back = status_of(place, b"OPTIONS /api/v1/runs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(status in (200, 204, 404, 405), repr(back[:100]))


@scenario("the request id is echoed where it is decent, and made where it is not")
def request_id(place):
    equal(http_ask(place.url, "GET", "/healthz", headers={"X-Request-Id": "abc-123"}).headers["x-request-id"], "abc-123", "echo")
    for bad in ("a b", "x" * 200, "<script>", "ä".encode("latin-1").decode("latin-1")):
        made = http_ask(place.url, "GET", "/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"]
        check(made != bad and re.fullmatch(r"[A-Za-z0-9._-]{8,64}", made), f"{bad!r} gave {made!r}")
    missing = http_ask(place.url, "GET", "/api/v1/runs/" + "00" * 16, headers={"X-Request-Id": "find-me-1"}, token=place.member.token(place.audience))
    check(missing.json()["instance"].endswith("find-me-1"), "the problem names the request")


@scenario("answers to a slow or broken peer end in time, and the others go on")
def slow_peers(place):
    host, port = address(place.url)
    held = []
    for _ in range(40):
        channel = tls().wrap_socket(socket.create_connection((host, port), 5))
        channel.sendall(b"POST /api/v1/parties HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        held.append(channel)
    for _ in range(40):
        plain = socket.create_connection((host, port), 5)
        plain.sendall(b"\x16\x03\x01")
        held.append(plain)
    began = time.monotonic()
    for _ in range(10):
        equal(http_ask(place.url, "GET", "/api/v1/compute/status", seconds=3).status, 200, "status")
    check(time.monotonic() - began < 5, "the others wait")
    for one in held:
        one.close()


@scenario("HTTP/2 by curl gives the same answers")
def http2(place):
    curl = shutil.which("curl")
    if curl is None or "HTTP2" not in run([curl, "--version"]).out:
        raise Skip("no curl with HTTP/2 here")
    done = run([curl, "-sk", "--http2", "--tlsv1.3", "-w", "\n%{http_version} %{http_code}", place.url + "/api/v1/info"])
    body, _, said = done.out.rpartition("\n")
    equal(said, "2 200", repr(done))
    equal(json.loads(body), http_ask(place.url, "GET", "/api/v1/info").json(), "info over HTTP/2")
    done = run([curl, "-sk", "--http2", "-w", "\n%{http_code}", place.url + "/api/v1/runs"])
    equal(done.out.rpartition("\n")[2], "401", "runs without a token over HTTP/2")
    done = run([curl, "-sk", "--tls-max", "1.2", place.url + "/healthz"])
    check(done.code != 0, "TLS 1.2 was accepted")


def event_stream(place, path, token, seconds):
    """Events {name: [data]} of a stream until its peer closes or time is over."""
    host, port = address(place.url)
    with socket.create_connection((host, port), 5) as plain, tls().wrap_socket(plain) as channel:
        channel.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n".encode())
        back, end = b"", time.monotonic() + seconds
        channel.settimeout(0.2)
        while time.monotonic() < end:
            try:
                piece = channel.recv(65536)
            except (TimeoutError, socket.timeout):
                yield back
                continue
            if not piece:
                break
            back += piece
            yield back
        yield back


@scenario("a run's progress comes as server-sent events")
def events(place):
    w = place.world
    run_id = w.start_run("means")
    states, head_seen = [], b""
    for back in event_stream(place, f"/api/v1/runs/{run_id}/events", place.member.token(place.audience), 30):
        head_seen = back
        states = [json.loads(line[5:])["state"] for line in re.findall(r"^data:.*$", back.decode(), re.M)]
        if states and states[-1] in ("done", "failed"):
            break
    check(b"text/event-stream" in head_seen, repr(head_seen[:300]))
    equal(states[-1:], ["done"], f"states {states}")
    # A stream that is opened when all is over still tells how it ended.
    for back in event_stream(place, f"/api/v1/runs/{run_id}/events", place.member.token(place.audience), 3):
        if b"data:" in back:
            break
    check(b'"done"' in back, repr(back[-300:]))


@scenario("the log's tiles give the root that its checkpoint signs, and the witness cosigned it")
def log_tiles(place):
    info, w = place.world.operator_info["log"], place.world

    def witnessed():
        text = http_ask(place.url, "GET", "/log/checkpoint").body.decode()
        return text if note_verified(text, w.witness_info["vkey"]) else None
    text = until(witnessed, 10, "a cosigned checkpoint")
    check(note_verified(text, info["vkey"]), "the log's own signature")
    origin, size, root = checkpoint_open(text)
    equal(origin, vkey_open(info["vkey"])[0], "origin")
    check(size >= 2, f"{size} entries")

    def tile(kind, index):
        whole, part = divmod(size, 256)
        path = f"/log/tile/{kind}/{tile_number(index)}" + (f".p/{part}" if index == whole else "")
        answer = http_ask(place.url, "GET", path)
        equal(answer.status, 200, path)
        return answer.body
    tiles = (size + 255) // 256
    hashes = b"".join(tile(0, index) for index in range(tiles))
    leaves = [hashes[at:at + 32] for at in range(0, len(hashes), 32)]
    equal(len(leaves), size, "leaf hashes")
    equal(tree_root(leaves), root, "root")
    entries, bundle = [], b"".join(tile("entries", index) for index in range(tiles))
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        entries.append(bundle[2:2 + length])
        bundle = bundle[2 + length:]
    equal([leaf_hash(entry) for entry in entries], leaves, "entries and their hashes")
    types = [cbor_decode(entry)["type"] for entry in entries]
    check(types.count("agreement") == 1 and types.count("statement") >= 1, f"leaves {types}")
    for entry in entries:
        equal(sorted(cbor_decode(entry)), ["digest", "type"], "a leaf tells nothing else")


@scenario("metrics are in the Prometheus text format and name no party")
def metrics(place):
    text = http_ask(place.url, "GET", "/metrics").body.decode()
    for line in text.splitlines():
        check(re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .*|[a-z_]+(\{[^}]*\})? [-+0-9.eE]+(nan|inf)?", line, re.I), line)
    check(not re.search("north|analyst|" + place.run_id, text), "metrics name somebody")


@scenario("cursor pagination walks every run once")
def pages(place):
    token, seen, cursor = place.member.token(place.audience), [], None
    for _ in range(3):
        place.world.start_run("means")
    total = [one["id"] for one in http_ask(place.url, "GET", "/api/v1/runs", token=token).json()["runs"]]
    while True:
        page = http_ask(place.url, "GET", "/api/v1/runs?limit=2" + (f"&cursor={cursor}" if cursor else ""), token=token).json()
        check(len(page["runs"]) <= 2, "a page is too long")
        seen += [one["id"] for one in page["runs"]]
        cursor = page["next"]
        if cursor is None:
            break
    equal(sorted(seen), sorted(total), "runs over pages")
    equal(http_ask(place.url, "GET", "/api/v1/runs?limit=0", token=token).status, 400, "limit 0")
    equal(http_ask(place.url, "GET", "/api/v1/runs?limit=2&limit=3", token=token).status, 400, "two limits")


@scenario("the same run request again is the same run")
def same_request(place):
    w = place.world
    kept = w.path("again.request")
    first = w.analyst.must_json("run", "start", w.agreement, "means", "--request-out", kept)["id"]
    w.end_of(first)
    with open(kept, "rb") as file:
        request = file.read()
    for _ in range(3):
        answer = w.analyst.ask("POST", "/api/v1/runs", body=request, headers={"Content-Type": "application/cose"})
        equal((answer.status, answer.json()["id"]), (202, first), repr(answer))
    check(cose_check(request, place.member.public), "the request is signed by its starter")


if __name__ == "__main__":
    raise SystemExit(main(Place, Place.close))
