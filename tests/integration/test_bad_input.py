"""Bad input at every door: truncated, bit-flipped, oversized, duplicate-keyed files and requests, hostile tables, wrong words, wrong pins, absent servers.
Each ends soon with the promised exit code and one line that names the place, and leaves nothing half-written."""
import base64
import json
import os
import random
import resource
import shutil
import socket
import time

from owner_ledger import Ledger
from plain_formats import FormatError, Identity, _decode, _head, cbor_decode, cbor_encode, container, container_open, cose_open, cose_sign1
from scenario import check, equal, main, scenario
from world import Party, World, http_ask, program, rows_text, run, until

HEADER = "age,dose,group,outcome,note\n"
ROW = "40,1.5,a,no,x\n"


class Door:
    def __init__(self):
        self.world = w = World(owners=("north",), row_count=60)
        self.north, self.analyst = w.owners[0], w.analyst
        view = self.analyst.must_json("run", "start", w.agreement, "means", "--watch", "--request-out", w.path("good.request"))
        self.run_id = view["id"]
        self.analyst.must("receipt", "fetch", self.run_id, "--out", w.path("good.receipt"))
        bundle = http_ask(w.operator_info["url"], "GET", "/api/v1/compute/attestation").json()["attestation_report"]
        w.write("good.evidence", base64.b64decode(bundle))
        # A party that has been nowhere yet: whatever a command leaves in its home is a leftover.
        self.clean = Party(w, "clean")
        self.clean.must("party", "new", "clean")
        self.clean.must("init", "--operator", w.path("operator.json"), "--kms", w.path("north-kms.json"))

    def good(self, name):
        with open(self.world.path(name), "rb") as file:
            return file.read()

    def bad(self, data, name="bad.file"):
        return self.world.write(name, data)

    def close(self):
        self.world.close()


def files_in(folder):
    return {os.path.join(root, name): os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(folder) for name in names}


def refused(done, codes, *words):
    """A refusal: exit code, one line on standard error (a daemon's log there apart) that has these words, nothing else said."""
    check(done.code in codes, f"{done!r}\n  wanted exit {codes}")
    lines = [one for one in done.err.strip().splitlines() if not one.startswith('{"time":')]
    equal(len(lines), 1, f"lines of {done!r}")
    check(lines[0].startswith("cloister") and len(lines[0]) < 700, lines[0])
    check(lines[0].isprintable(), f"unprintable bytes: {lines[0]!r}")
    check("internal error" not in lines[0], lines[0])
    for word in words:
        check(word in lines[0], f"{word!r} is not in: {lines[0]}")
    return lines[0]


def twice_first(cbor):
    """The same map with its first member twice."""
    count, start = cbor[0] & 31, 1
    if count >= 24:
        raise FormatError("a small map is wanted")
    _, after_key = _decode(cbor, start)
    _, after = _decode(cbor, after_key)
    return _head(5, count + 1) + cbor[start:after] + cbor[start:]


def damaged(good, seed, count=40):
    """Cut and flipped versions of a file, spread over it, with what was done."""
    rng = random.Random(seed)
    for at in sorted({0, 1, 7, 8, 15, 16, 17, len(good) - 1} | {rng.randrange(len(good)) for _ in range(count // 2)}):
        yield f"cut at {at}", good[:at]
    for _ in range(count // 2):
        at, bit = rng.randrange(len(good)), rng.randrange(8)
        yield f"bit {bit} of byte {at}", good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1:]
    yield "a byte behind the end", good + b"\0"
    yield "itself twice", good + good
    yield "zeros", bytes(len(good))
    yield "0xff", b"\xff" * len(good)


def each_damage(good, seed, command, folder, codes=(1, 2), count=40):
    before = files_in(folder)
    for what, data in damaged(good, seed, count):
        done = command(data)
        try:
            refused(done, codes)
        except AssertionError as reason:
            raise AssertionError(f"{what}: {reason}") from None
        equal(files_in(folder), before, f"{what}: files left behind")


# ---- files ----

@scenario("party files")
def party_files(door):
    home = door.clean.home
    with open(door.north.party_file, "rb") as file:
        good = file.read()
    each_damage(good, 1, lambda data: door.clean.cli("party", "import", door.bad(data)), home)
    who = Identity("twice")
    _, payload, _ = cose_open(container_open(who.party_file(), b"CLOPARTY"))
    bad = container(b"CLOPARTY", cose_sign1(who.seed, "application/cloister-party+cbor", twice_first(payload)))
    refused(door.clean.cli("party", "import", door.bad(bad)), (2,), "twice")
    for name in ("", "Upper", "a/b", "../x", "a" * 64, "ä", "-x"):
        fields = cbor_decode(payload)
        fields["name"] = name
        bad = container(b"CLOPARTY", cose_sign1(who.seed, "application/cloister-party+cbor", cbor_encode(fields)))
        refused(door.clean.cli("party", "import", door.bad(bad)), (2, 4))
        equal(http_ask(door.world.operator_info["url"], "POST", "/api/v1/parties", body=bad).status, 413 if len(name) == 64 else 400, f"name {name!r} at the operator")
    # Somebody else under a name that is taken.
    equal(http_ask(door.world.operator_info["url"], "POST", "/api/v1/parties", body=Identity("north").party_file()).status, 409, "another key for north")


@scenario("agreement files", seconds=90)
def agreement_files(door):
    good = door.good("world.agreement")
    each_damage(good, 2, lambda data: door.clean.cli("agreement", "check", door.bad(data)), door.clean.home)
    each_damage(good, 3, lambda data: door.analyst.cli("agreement", "submit", door.bad(data)), door.analyst.home, count=12)
    big = door.world.path("big.agreement")
    with open(big, "wb") as file:
        file.write(good)
        file.truncate(1 << 30)
    refused(door.clean.cli("agreement", "check", big, seconds=5), (2, 4))
    body = container_open(good, b"CLOAGREE")
    message = cbor_decode(body)
    check(message.number == 98, "a COSE_Sign")
    message.value[2] = twice_first(message.value[2]) if message.value[2][0] & 31 < 24 else message.value[2] + b"\0"
    refused(door.clean.cli("agreement", "check", door.bad(container(b"CLOAGREE", cbor_encode(message)))), (1, 2))
    # The signature of one moved to another agreement.
    other = door.world.write("other.yaml", door.world.template_text(title="another"))
    door.analyst.must("agreement", "new", other, "--out", door.world.path("other.agreement"))
    mixed = cbor_decode(container_open(door.good("other.agreement"), b"CLOAGREE"))
    mixed.value[3] = cbor_decode(body).value[3]
    refused(door.clean.cli("agreement", "check", door.bad(container(b"CLOAGREE", cbor_encode(mixed)))), (1, 2))


@scenario("templates")
def templates(door):
    good, w = door.world.template_text(), door.world
    before = files_in(w.folder)
    for name, text, word in (
            ("key twice", good.replace("allow_simulated: true", "allow_simulated: true\nallow_simulated: true"), "twice"),
            ("unknown key", good + "colour: red\n", "colour"),
            ("missing part", good.replace("operator: operator.json\n", ""), "operator"),
            ("wrong type", good.replace("lease_seconds: 600", "lease_seconds: soon"), "lease_seconds"),
            ("out of range", good.replace("lease_seconds: 600", "lease_seconds: 1"), "lease_seconds"),
            ("price above the budget", good.replace('price: "1/100"', 'price: "2"'), "price"),
            ("negative price", good.replace('price: "1/100"', 'price: "-1/100"'), "price"),
            ("price of nothing", good.replace('price: "1/100"', 'price: "0"'), "price"),
            ("price not a number", good.replace('price: "1/100"', 'price: "NaN"'), "price"),
            ("overflow", good.replace('price: "1/100"', 'price: "99999999999999999999/100"'), "price"),
            ("price too small for its noise", good.replace('price: "1/100"', 'price: "1/1000000"'), "runs["),
            ("unknown program", good.replace("program: means", "program: means2"), "means2"),
            ("unknown column", good.replace("AVG(age)", "AVG(weight)"), "weight"),
            ("rows themselves", good.replace("SELECT outcome, COUNT(*) AS n, AVG(age) AS age FROM rows GROUP BY outcome", "SELECT note FROM rows"), "note"),
            ("unknown party", good.replace("starters: [analyst]", "starters: [nobody]"), "nobody"),
            ("missing file", good.replace("schema.json", "absent.json"), "absent.json"),
            ("tab", good.replace("  - {name: means", "\t- {name: means"), "line"),
            ("anchor", good + "x: &a 1\ny: *a\n", ""),
            ("tag", good.replace("title:", "title: !!python/object:os.system"), ""),
            ("unclosed", good + "x: {", ""),
            ("deep", good + "x: " + "[" * 200 + "]" * 200 + "\n", ""),
            ("no map", "- 1\n- 2\n", ""),
            ("empty", "", "")):
        path = w.write("bad.yaml", text)
        out = door.clean.cli("agreement", "new", path, "--out", w.path("never.agreement"))
        try:
            refused(out, {"missing file": (3,), "deep": (4,)}.get(name, (1, 2)), word)
        except AssertionError as reason:
            raise AssertionError(f"{name}: {reason}") from None
        os.remove(path)
    refused(door.clean.cli("agreement", "new", w.write("bad.yaml", b"title: \xff\xfe\n"), "--out", w.path("never.agreement")), (2,))
    os.remove(w.path("bad.yaml"))
    refused(door.clean.cli("agreement", "new", w.write("bad.json", '{"format": "cloister-agreement/1", "format": "cloister-agreement/1"}')), (2,), "bad.json")
    os.remove(w.path("bad.json"))
    equal({k: v for k, v in files_in(w.folder).items() if ".log" not in k and "-wal" not in k and "-shm" not in k and "journal" not in k},
          {k: v for k, v in before.items() if ".log" not in k and "-wal" not in k and "-shm" not in k and "journal" not in k}, "files")


@scenario("sealed files, their manifest and their chunks", seconds=90)
def sealed_files(door):
    w = door.world
    w.write("fresh.csv", rows_text(77, 3000))
    door.north.must("dataset", "seal", w.path("fresh.csv"), "--schema", w.path("schema.json"), "--name", "fresh", "--chunk-size", "4096")
    path = os.path.join(door.north.home, "datasets", "fresh.sealed")
    with open(path, "rb") as file:
        good = file.read()
    size = int.from_bytes(good[16:20], "big")
    head, manifest, chunks = good[:16], good[20:20 + size], good[20 + size:]
    each_damage(good, 4, lambda data: door.north.cli("dataset", "verify", door.bad(data, "bad.sealed")), door.north.home)
    with_manifest = lambda m, c: head + len(m).to_bytes(4, "big") + m + c  # noqa: E731
    _, payload, _ = cose_open(manifest)
    owner = door.north.identity()
    resigned = cose_sign1(owner.seed, "application/cloister-manifest+cbor", twice_first(payload))
    refused(door.north.cli("dataset", "verify", door.bad(with_manifest(resigned, chunks), "bad.sealed")), (1, 2))
    for field, value in (("chunk_count", 1 << 60), ("row_count", (1 << 63) - 1), ("chunk_size", 0), ("chunk_size", 1 << 31), ("plain_size", (1 << 63) - 1)):
        fields = cbor_decode(payload)
        check(field in fields, f"the manifest has no {field}")
        fields[field] = value
        resigned = cose_sign1(owner.seed, "application/cloister-manifest+cbor", cbor_encode(fields))
        refused(door.north.cli("dataset", "verify", door.bad(with_manifest(resigned, chunks), "bad.sealed"), seconds=10), (1, 2, 4))
        equal(door.north.ask("POST", "/api/v1/datasets", body=resigned).status, 400, f"{field} {value} at the operator")
    # Two chunks exchanged, pushed: the operator sees it by the root and keeps nothing.
    step = 4096 + 16
    swapped = chunks[step:2 * step] + chunks[:step] + chunks[2 * step:]
    blobs = os.path.join(w.operator_home, "blobs")
    before = files_in(blobs)
    with open(path, "wb") as file:
        file.write(with_manifest(manifest, swapped))
    refused(door.north.cli("dataset", "push", "fresh"), (1, 2), "root")
    equal(files_in(blobs), before, "blobs of a refused content")
    listed = [one for one in door.north.must_json("dataset", "list")["datasets"] if one["name"] == "fresh"]
    equal([(one["complete"], one["received"]) for one in listed], [(False, 0)], "the operator's record")
    with open(path, "wb") as file:
        file.write(good)
    door.north.must("dataset", "push", "fresh")
    listed = [one for one in door.north.must_json("dataset", "list")["datasets"] if one["name"] == "fresh"]
    equal([one["complete"] for one in listed], [True], "the right file after the wrong one")


@scenario("an upload is resumed where it broke, and refused beyond its size")
def uploads(door):
    w = door.world
    w.write("broken.csv", rows_text(78, 4000))
    door.north.must("dataset", "seal", w.path("broken.csv"), "--schema", w.path("schema.json"), "--name", "broken")
    with open(os.path.join(door.north.home, "datasets", "broken.sealed"), "rb") as file:
        good = file.read()
    size = int.from_bytes(good[16:20], "big")
    manifest, chunks = good[20:20 + size], good[20 + size:]
    version = door.north.ask("POST", "/api/v1/datasets", body=manifest).json()["version"]
    content = f"/api/v1/datasets/{version}/content"
    equal(door.north.ask("PUT", content + "?offset=0", body=chunks[:1000]).json()["received"], 1000, "the first part")
    for offset in (0, 999, 1001, len(chunks)):
        equal(door.north.ask("PUT", f"{content}?offset={offset}", body=b"x").status, 409, f"offset {offset}")
    for offset in ("-1", "x", "1e3", str(1 << 64)):
        equal(door.north.ask("PUT", f"{content}?offset={offset}", body=b"x").status, 400, f"offset {offset}")
    answer = door.north.ask("PUT", content + "?offset=1000", body=chunks[1000:] + b"more")
    check(answer.status in (400, 413), repr(answer))
    equal(door.analyst.ask("PUT", content + "?offset=1000", body=b"x").status, 404, "somebody else's upload")
    door.north.must("dataset", "push", "broken")
    equal(door.north.ask("GET", "/api/v1/datasets/" + version).json()["complete"], True, "complete")


@scenario("run requests", seconds=90)
def run_requests(door):
    w, good = door.world, door.good("good.request")
    runs = lambda: len(door.analyst.ask("GET", "/api/v1/runs?limit=100").json()["runs"])  # noqa: E731
    before = runs()
    each_damage(good, 5, lambda data: door.analyst.cli("run", "start", w.agreement, "means", "--request", door.bad(data)), door.analyst.home, (1, 2, 3))
    _, payload, _ = cose_open(good)
    who, kind = door.analyst.identity(), "application/cloister-request+cbor"
    send = lambda data: door.analyst.cli("--json", "run", "start", w.agreement, "means", "--request", door.bad(data))  # noqa: E731

    def changed(**values):
        fields = cbor_decode(payload)
        fields["run_id"] = os.urandom(16)
        for name, value in values.items():
            check(name in fields, f"the request has no {name}")
            fields[name] = value
        return cose_sign1(who.seed, kind, cbor_encode(fields))
    fields = cbor_decode(payload)
    for name, data, codes in (
            ("member twice", cose_sign1(who.seed, kind, twice_first(payload)), (2,)),
            ("signed by another", cose_sign1(door.north.identity().seed, kind, payload), (1, 2)),
            ("another content type", cose_sign1(who.seed, "application/cloister-order+cbor", payload), (1, 2)),
            ("another epoch", changed(epoch=7), (1, 2)),
            ("unknown run", changed(run="other"), (1, 2, 3)),
            ("cheaper than its price", changed(rho="1/1000"), (1, 2)),
            ("rho below zero", changed(rho="-1"), (1, 2)),
            ("rho not in lowest terms", changed(rho="2/200"), (1, 2)),
            ("another starter", changed(starter="north"), (1, 2)),
            ("agreement nobody knows", changed(agreement=bytes(32)), (1, 2, 3)),
            ("other dataset", changed(datasets=[]), (1, 2)),
            ("unknown member", cose_sign1(who.seed, kind, cbor_encode(dict(fields, zzz=1))), (2,)),
            ("short run id", changed(run_id=b"123"), (2,))):
        done = send(data)
        check(done.code in codes, f"{name}: {done!r}")
        check(done.json()["error"]["detail"], name)
    equal(runs(), before, "runs that came to be")


@scenario("receipts", seconds=90)
def receipts(door):
    good, w = door.good("good.receipt"), door.world
    equal(door.analyst.cli("receipt", "verify", w.path("good.receipt")).code, 0, "the good one")
    before = files_in(door.analyst.home)
    for what, data in damaged(good, 6, 60):
        done = door.analyst.cli("receipt", "verify", door.bad(data, "bad.receipt"))
        check(done.code in (1, 2), f"{what}: {done!r}")
        done = door.analyst.cli("--json", "receipt", "verify", door.bad(data, "bad.receipt"))
        check(done.code in (1, 2) and isinstance(done.json(), dict), f"{what}: {done!r}")
        check(done.json().get("verdict") != "valid", f"{what}: {done!r}")
    equal(files_in(door.analyst.home), before, "files")
    body = container_open(good, b"CLORECPT")
    refused(door.analyst.cli("receipt", "verify", door.bad(container(b"CLORECPT", twice_first(body)), "bad.receipt")), (1, 2))
    parts = cbor_decode(body)
    for name in parts:
        rest = {key: value for key, value in parts.items() if key != name}
        refused(door.analyst.cli("receipt", "verify", door.bad(container(b"CLORECPT", cbor_encode(rest)), "bad.receipt")), (1, 2))
    # The evidence of another moment: well-formed and true, but not of this run.
    other = dict(parts, evidence=door.good("good.evidence"))
    done = door.analyst.cli("--json", "receipt", "verify", door.bad(container(b"CLORECPT", cbor_encode(other)), "bad.receipt"))
    equal((done.code, done.json()["verdict"]), (1, "invalid"), repr(done))
    check(any(not one["ok"] for one in done.json()["checks"]), "no check says why")


@scenario("evidence", seconds=90)
def evidence(door):
    good, root = door.good("good.evidence"), "root=" + os.path.join(door.analyst.home, "roots", "sim-root.der")
    # As agreements judge it: also bytes that no signature covers must be what they should be.
    policy = door.world.write("strict.json", json.dumps({"strict_reserved": True}))
    verify = lambda path: door.analyst.cli("--json", "attest", "verify", "--type", "sim", "--evidence", path, "--collateral", root, "--policy", policy)  # noqa: E731
    done = verify(door.world.path("good.evidence"))
    equal((done.code, done.json()["verdict"], done.json()["tee"]), (0, "valid", "sim"), repr(done))
    for what, data in damaged(good, 7, 50):
        done = verify(door.bad(data, "bad.evidence"))
        check(done.code in (1, 2), f"{what}: {done!r}")
        verdict = done.json()
        check(verdict.get("verdict") == "invalid" and verdict["reason"] or verdict.get("error"), f"{what}: {done!r}")
    done = door.analyst.cli("--json", "attest", "verify", "--type", "snp", "--evidence", door.world.path("good.evidence"))
    check(done.code in (1, 2), f"simulated evidence as real: {done!r}")
    bundle = cbor_decode(good)
    done = verify(door.bad(cbor_encode(dict(bundle, tee="snp")), "bad.evidence"))
    check(done.code in (1, 2), f"another word on the same bytes: {done!r}")


# ---- tables ----

@scenario("tables: each fault is named by line and column, and nothing is sealed", seconds=90)
def tables(door):
    w, home = door.world, door.clean.home
    before = files_in(home)
    for name, text, word in (
            ("empty", "", ""), ("no header", ROW, "line 1"), ("unknown column", "age,dose,group,outcome,what\n" + ROW, "header field 5"),
            ("column twice", "age,age,group,outcome,note\n" + ROW, "header field 2"), ("column missing", "age,dose,group,outcome\n40,1,a,no\n", "note"),
            ("text for a number", HEADER + ROW + "forty,1,a,no,x\n", "line 3"), ("half a number", HEADER + "40.5,1,a,no,x\n", "age"),
            ("NaN", HEADER + "40,NaN,a,no,x\n", "dose"), ("nan", HEADER + "40,nan,a,no,x\n", "dose"), ("infinity", HEADER + "40,inf,a,no,x\n", "dose"),
            ("overflow", HEADER + "40,1e999,a,no,x\n", "dose"), ("huge integer", HEADER + "99999999999999999999,1,a,no,x\n", "age"),
            ("above the bound", HEADER + "121,1,a,no,x\n", "age"), ("below the bound", HEADER + "40,-0.1,a,no,x\n", "dose"),
            ("unknown code", HEADER + "40,1,z,no,x\n", "group"), ("empty cell", HEADER + "40,1,,no,x\n", "group"), ("hexadecimal", HEADER + "0x28,1,a,no,x\n", "age"),
            ("short row", HEADER + ROW * 5 + "40,1,a\n", "line 7"), ("long row", HEADER + "40,1,a,no,x,y\n", "line 2"),
            ("unclosed quote", HEADER + '40,1,a,no,"x\n' * 3, ""), ("text behind a quote", HEADER + '40,1,a,no,"x"y\n', "line 2"),
            ("bare quote", HEADER + '40,1,a,no,x"y\n', "line 2"), ("NUL", HEADER + "40,1,a,no,x\0y\n", ""), ("bare CR", HEADER + "40,1,a,no,x\r40,1,a,no,y\n", ""),
            ("blank", HEADER + " 40,1,a,no,x\n", "age"), ("separator", HEADER.replace(",", ";") + ROW.replace(",", ";"), "")):
        done = door.clean.cli("dataset", "seal", w.write("bad.csv", text), "--schema", w.path("schema.json"), "--name", "bad")
        try:
            line = refused(done, (2,), "bad.csv", word)
            check("forty" not in line and "121" not in line.replace("0 to 120", ""), f"the row's value is in the message: {line}")
        except AssertionError as reason:
            raise AssertionError(f"{name}: {reason}") from None
        equal(files_in(home), before, f"{name}: files left behind")
    refused(door.clean.cli("dataset", "seal", w.write("bad.csv", HEADER.encode() + b"40,1,a,no,\xff\xfe\n"), "--schema", w.path("schema.json"), "--name", "bad"), (2,))
    refused(door.clean.cli("dataset", "seal", w.path("absent.csv"), "--schema", w.path("schema.json"), "--name", "bad"), (3,), "absent.csv")
    refused(door.clean.cli("dataset", "seal", w.folder, "--schema", w.path("schema.json"), "--name", "bad"), (2, 3))
    refused(door.clean.cli("dataset", "seal", w.path("north.csv"), "--name", "bad"), (2,), "--schema")
    refused(door.clean.cli("dataset", "seal", w.path("north.csv"), "--schema", w.path("absent.json"), "--name", "bad"), (3,), "absent.json")
    refused(door.clean.cli("dataset", "seal", w.path("north.csv"), "--schema", w.path("schema.json"), "--name", "../bad"), (2,))
    equal(files_in(home), before, "files")


@scenario("schemas")
def schemas(door):
    w = door.world
    for name, text in (("empty", ""), ("not JSON", "{"), ("key twice", '{"columns": {}, "columns": {}}'), ("column twice", '{"columns": {"a": {"type": "int"}, "a": {"type": "int"}}}'),
                       ("no columns", "{}"), ("unknown type", '{"columns": {"a": {"type": "date"}}}'), ("bounds crossed", '{"columns": {"a": {"type": "int", "min": 2, "max": 1}}}'),
                       ("half bounds", '{"columns": {"a": {"type": "int", "min": 2}}}'), ("unknown word", '{"columns": {"a": {"type": "int", "colour": 1}}}'),
                       ("codes missing", '{"columns": {"a": {"type": "code"}}}'), ("code twice", '{"columns": {"a": {"type": "code", "codes": ["x", "x"]}}}'),
                       ("target unknown", '{"columns": {"a": {"type": "int"}}, "target": "b"}'), ("trailing", '{"columns": {"a": {"type": "int"}}} x'),
                       ("bad UTF-8", b'{"columns": {"\xff": {"type": "int"}}}'), ("deep", "[" * 100000)):
        done = door.clean.cli("dataset", "seal", w.path("north.csv"), "--schema", w.write("bad.schema.json", text), "--name", "bad")
        try:
            refused(done, (2, 4))
        except AssertionError as reason:
            raise AssertionError(f"{name}: {reason}") from None


@scenario("a line of 1 GiB, a pipe and a device end soon, in little memory", seconds=60)
def huge(door):
    w = door.world
    before = files_in(door.clean.home)
    with open(w.path("huge.csv"), "wb") as file:
        file.write((HEADER + "40,1,a,no,").encode() + b"a" * (8 << 20))
        file.truncate(1 << 30)
    words = [program("cloister"), "--home", door.clean.home, "dataset", "seal"]
    began = time.monotonic()
    limit = [] if "ASAN_OPTIONS" in os.environ or not shutil.which("prlimit") else ["prlimit", "--as=1000000000"]
    done = run(limit + words + [w.path("huge.csv"), "--schema", w.path("schema.json"), "--name", "bad"], seconds=20)
    refused(done, (2, 4), "huge.csv")
    check(time.monotonic() - began < 10, "it took long")
    os.remove(w.path("huge.csv"))
    os.mkfifo(w.path("pipe.csv"))
    refused(run(words + [w.path("pipe.csv"), "--schema", w.path("schema.json"), "--name", "bad"], seconds=10), (2, 3))
    refused(run(words + ["/dev/zero", "--schema", w.path("schema.json"), "--name", "bad"], seconds=10), (2, 3, 4))
    os.remove(w.path("pipe.csv"))
    equal(files_in(door.clean.home), before, "files")


@scenario("a full disk and a read-only home leave nothing half-written", seconds=60)
def no_room(door):
    w = door.world
    w.write("room.csv", rows_text(5, 20000))
    before = files_in(door.clean.home)
    words = [program("cloister"), "--home", door.clean.home, "dataset", "seal", w.path("room.csv"), "--schema", w.path("schema.json"), "--name", "room"]
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 300; exec "$@"', "bash"] + words
    done = run(limited, seconds=20)
    refused(done, (3,))
    equal(files_in(door.clean.home), before, "files after the disk was full")


# ---- servers and words ----

@scenario("wrong pins, absent servers, unknown homes", seconds=60)
def servers(door):
    w = door.world
    url, pin = w.operator_info["url"], w.operator_info["spki"]
    refused(door.clean.cli("--server", url, "--pin", "00" * 32, "run", "list"), (1,), url.split("//")[1].split(":")[0])
    refused(door.clean.cli("--server", url, "--pin", "zz", "run", "list"), (2,))
    refused(door.clean.cli("--server", "http://127.0.0.1:1", "--pin", pin, "run", "list"), (2,))
    refused(door.clean.cli("--server", "ftp:x", "--pin", pin, "run", "list"), (2,))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    refused(door.clean.cli("--server", f"https://127.0.0.1:{port}", "--pin", pin, "run", "list"), (3,), str(port))
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        began = time.monotonic()
        done = door.clean.cli("--server", f"https://127.0.0.1:{mute.getsockname()[1]}", "--pin", pin, "status", seconds=40)
        check(done.code in (1, 3) and time.monotonic() - began < 35, repr(done))
    nowhere = [program("cloister"), "--home", w.path("nowhere")]
    refused(run(nowhere + ["run", "list"]), (2, 3))
    refused(run(nowhere + ["party", "show"]), (3,), "party new")
    check(not os.path.exists(w.path("nowhere")), "a question made a home")
    # A key service that is another's: the pin in the agreement counts, not the address.
    answer = door.north.cli("--server", door.north.info["url"], "--pin", door.north.info["spki"], "run", "list")
    check(answer.code in (1, 3), f"a key service in place of the operator: {answer!r}")


@scenario("identity files that are damaged or open to others")
def identities(door):
    path = os.path.join(door.clean.home, "identity.key")
    with open(path, "rb") as file:
        good = file.read()
    try:
        for what, data in damaged(good, 8, 16):
            with open(path, "wb") as file:
                file.write(data)
            done = door.clean.cli("party", "show")
            # A flipped bit of the keys or of the name is another, well-formed identity.
            check(done.code in (1, 2) or what.startswith("bit "), f"{what}: {done!r}")
            check(good[-32:].hex() not in done.out + done.err, "a secret is shown")
        with open(path, "wb") as file:
            file.write(good)
        os.chmod(path, 0o644)
        refused(door.clean.cli("party", "show"), (1,), "identity.key")
    finally:
        with open(path, "wb") as file:
            file.write(good)
        os.chmod(path, 0o600)
    refused(door.clean.cli("party", "new", "again"), (1, 2), "identity.key")


@scenario("daemons say in one line what is wrong with their words, homes and configurations", seconds=60)
def daemons(door):
    w = door.world
    cloisterd, kms = program("cloisterd"), program("cloister-kms")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        spare = w.path("spare")
        run([cloisterd, "init", "--home", spare])
        for command, codes in (
                ([cloisterd, "--bogus"], (2,)), ([cloisterd, "--home"], (2,)), ([cloisterd, "fly"], (2,)), ([cloisterd, "--role", "king"], (2,)),
                ([cloisterd, "--home", spare, "--listen", "nowhere"], (2,)), ([cloisterd, "--home", spare, "--listen", "127.0.0.1:99999"], (2, 4)),
                ([cloisterd, "--home", spare, "--listen", f"127.0.0.1:{port}"], (1, 3)), ([cloisterd, "--home", spare, "--enclave", "/absent"], (3,)),
                ([cloisterd, "init", "--home", w.path("spare2"), "--witness", "x"], (2,)), ([cloisterd, "init", "--home", spare], (1, 2)),
                ([cloisterd, "--home", spare, "--config", w.write("bad.yaml", "colour: red\n")], (2,)),
                ([cloisterd, "--home", spare, "--config", w.write("bad2.yaml", "name: a\nname: b\n")], (2,)),
                ([cloisterd, "--role", "witness", "--home", w.path("spare3"), "--log", "nonsense"], (2,)),
                ([kms, "--bogus", "x"], (2,)), ([kms, "--home", w.path("absent")], (2, 3)), ([kms, "init", "--home", w.path("spare4")], (2,)),
                ([kms, "init", "--home", w.path("spare4"), "--owner", w.path("absent.party")], (2, 3)),
                ([kms, "init", "--home", w.path("spare4"), "--owner", w.path("operator.json")], (2,)),
                ([kms, "init", "--home", door.north.kms_home, "--owner", door.north.party_file], (1, 2)),
                ([kms, "--config", w.write("bad3.yaml", "home: /x\nlisten: {port: 1, colour: red}\n")], (2,)),
                ([kms, "check", "--home", w.path("absent")], (2, 3))):
            done = run(command, seconds=10)
            try:
                refused(done, codes)
            except AssertionError as reason:
                raise AssertionError(f"{command[1:]}: {reason}") from None
    for secret in ("identity.kms", "tls.key"):
        home = w.path("kms-" + secret)
        equal(run([kms, "init", "--home", home, "--owner", door.north.party_file]).code, 0, "init")
        with open(os.path.join(home, secret), "r+b") as file:
            file.truncate(20)
        refused(run([kms, "--home", home], seconds=10), (1, 2, 3))


@scenario("ciphertext that was changed on the operator's disk ends the run, and costs nothing", seconds=60)
def changed_blob(door):
    w = door.world
    blobs = [path for path, size in files_in(os.path.join(w.operator_home, "blobs")).items()]
    version = [one for one in door.north.must_json("dataset", "list")["datasets"] if one["name"] == "north-rows"][0]["version"]
    path = [one for one in blobs if version[:16] in one.replace("/", "")]
    equal(len(path), 1, f"{blobs}")
    with open(path[0], "rb") as file:
        good = file.read()
    try:
        for what, data in (("a flipped bit", good[:100] + bytes([good[100] ^ 1]) + good[101:]), ("a cut", good[:-1]), ("nothing", b"")):
            with open(path[0], "wb") as file:
                file.write(data)
            done = door.analyst.cli("--json", "run", "start", w.agreement, "means", "--watch", seconds=60)
            check(done.code != 0, f"{what}: {done!r}")
            view = done.json()
            equal(view["state"], "failed", what)
            check(view["text"] or view["denial"], f"{what}: {view}")
            ledger = Ledger(door.north.kms_home)
            equal(ledger.objections(), [], "ledger")
            check(2 not in ledger.state_of(bytes.fromhex(view["id"])), f"{what}: committed")
    finally:
        with open(path[0], "wb") as file:
            file.write(good)
    equal(door.analyst.must_json("run", "start", w.agreement, "means", "--watch")["state"], "done", "with the right bytes")


if __name__ == "__main__":
    raise SystemExit(main(Door, Door.close))
