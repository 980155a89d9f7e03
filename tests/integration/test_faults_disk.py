"""A fault at every write, sync, rename, creation and removal of the ledger, the store, the log and its witness, one after another until none is left.

tests/fault/fault_driver does the work under tests/fault/fault_shim.so: at the n-th call that changes the home the disk fails once, is full or
read-only from there on, a write is cut, the process is killed, or the power is cut (what was not synced is undone, wholly or in part). Then the
files are read by readers written for this test, the program starts again, repeats every step, and the files are read once more: nothing that was
acknowledged is lost, no budget is spent twice or refunded wrongly, no key goes to a second runtime, no half object stays.

By default every FAULT_STRIDE-th point of each sweep is taken, with another start for each kind of fault; `make faults` takes all of them.
"""
import base64
import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from fractions import Fraction

from fault_control import FOR_EVER, Faults, build_folder
from owner_ledger import COMMIT, EXPIRE, RESERVE, Ledger
from plain_formats import checkpoint_open, journal_of, leaf_hash, note_verified, tree_root
from scenario import check, equal, main, scenario

STRIDE = int(os.environ.get("FAULT_STRIDE", "16"))
# kind of fault, and whether it lasts
KINDS = [("io error", False), ("io error", True), ("disk full", True), ("read-only", True), ("short write", False), ("torn write", False), ("kill", False),
         ("power cut", False), ("mixed power cut", False)]
totals = {}


class Driver:
    """One fault_driver; homes lie in memory where the machine has such a folder, for speed."""

    def __init__(self, name, judge):
        self.folder = tempfile.mkdtemp(prefix="cloister-fault-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.name, self.judge, self.template = name, judge, os.path.join(self.folder, "template")
        self.home, self.scratch = os.path.join(self.folder, "place", "home"), os.path.join(self.folder, "scratch")
        os.mkdir(self.template)
        os.mkdir(self.scratch)
        self.faults = Faults(os.path.join(self.folder, "control"))
        environment = dict(os.environ, **self.faults.environment(build_folder()))
        self.child = subprocess.Popen([os.path.join(build_folder(), "tests", "fault", "fault_driver"), name, self.template], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)
        self.facts = dict(line.split(" ", 1) for line in self.lines_until("ready"))
        self.points = 0

    def lines_until(self, word):
        lines = []
        while True:
            line = self.child.stdout.readline()
            check(line, f"the driver ended: {lines}")
            if line.split()[0] == word:
                self.last = line.split()
                return lines
            lines.append(line.rstrip("\n"))

    def ask(self, word):
        self.child.stdin.write(f"{word} {self.home}\n")
        self.child.stdin.flush()
        return self.lines_until("end")

    def point(self, how, lasting, number):
        """One life, one death, one life after; False where the fault was never reached."""
        place = os.path.dirname(self.home)
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(self.scratch)
        os.mkdir(self.scratch)
        os.mkdir(place)
        if os.listdir(self.template):
            shutil.copytree(self.template, self.home)
        self.faults.watch(place, self.scratch)
        self.faults.arm(how, number, FOR_EVER if lasting else number)
        said = self.ask("first")
        hit, died = self.faults.hits > 0, self.last[1] == "signal"
        self.faults.rest()
        check(not died or hit and self.last[2] == "9", f"it died by itself: {self.last}")
        try:
            self.judge(self, said, None)
            after = self.ask("late" if "passed" in said else "again")
            self.judge(self, said, after)
            rubbish = [name for _, _, names in os.walk(place) for name in names if ".tmp-" in name]
            equal(rubbish, [], "files that nobody needs")
        except Exception as why:
            raise AssertionError(f"{self.name}: {how}{' from here on' if lasting else ''} at call {number}: {why}\nbefore: {said}\nafter: {after if 'after' in locals() else ''}") from why
        self.points += hit
        return hit

    def sweep(self):
        for order, (how, lasting) in enumerate(KINDS):
            number = 1 + order * 5 % STRIDE
            while self.point(how, lasting, number):
                number += STRIDE
        totals[self.name] = self.points
        print(f"# {self.name}: {self.points} faults, {self.faults.calls} calls in a run without")

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def sweep(name, judge):
    driver = Driver(name, judge)
    try:
        driver.sweep()
    finally:
        driver.close()


def acknowledged(lines, word):
    return [line[3:] for line in lines if line.startswith("ok " + word)]


def must_succeed(lines, words, untold=()):
    """After the restart, without faults, every step is done."""
    for line in lines:
        check(not line.startswith("broken"), line)
        if line.startswith("no ") and line.split()[1] not in untold:
            raise AssertionError(line)
    for word in words:
        check(any(line == "ok " + word or line.startswith("ok " + word + " ") for line in lines), f"{word} is missing")


# ---- the log ----

def judge_log(driver, said, after):
    lines = said + (after or [])
    entries, tail = journal_of(driver.home)
    promised = {}
    for one in acknowledged(lines, "append "):
        _, text, size, index = one.split()
        content = text.encode().ljust(int(size), b"\0")
        check(int(index) not in promised, f"index {index} was given twice")
        promised[int(index)] = content
        # The stored checkpoint may be some milliseconds behind; a start signs the journal as it is.
        check(int(index) < len(entries) and entries[int(index)] == content, f"acknowledged entry {index} is not in the journal")
    path = os.path.join(driver.home, "checkpoint")
    check(after is None or os.path.exists(path), "no checkpoint")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        check(note_verified(text, driver.facts["vkey"]), "the checkpoint's signature is wrong")
        _, size, root = checkpoint_open(text)
        check(size <= len(entries), f"the checkpoint covers {size} of {len(entries)} entries")  # it may be some milliseconds older than the last answer
        equal(tree_root([leaf_hash(one) for one in entries[:size]]), root, "root")
        if after is not None:
            equal((size, tail), (len(entries), b""), "after a restart the checkpoint covers everything")
    if after is not None:
        must_succeed(after, ["open", "append again"])


@scenario("the log keeps what it acknowledged, whatever the disk does", seconds=300)
def log():
    sweep("log", judge_log)


def judge_witness(driver, said, after):
    lines = said + (after or [])
    signed = [int(one.split()[1]) for one in acknowledged(lines, "cosign ") if one.endswith(" 200")]
    equal(signed, sorted(set(signed)), "a witness signs a size once, and only rising ones")
    states = [name for name in os.listdir(driver.home) if name.startswith("log-") and ".tmp-" not in name] if os.path.isdir(driver.home) else []
    size = 0
    for name in states:
        with open(os.path.join(driver.home, name), encoding="utf-8") as file:
            size = int(file.read().splitlines()[1])
    check(size >= max(signed, default=0), f"it signed {signed} but remembers {size}")
    if after is not None:
        must_succeed(after, ["open", "know", "cosign 7", "other 409"])
        equal(size, 7, "in the end it knows the whole log")


@scenario("the witness remembers what it cosigned, whatever the disk does", seconds=300)
def witness():
    sweep("witness", judge_witness)


# ---- the store ----

BLOB = bytes((1 + i * 7) & 255 for i in range(150000))
STATES = ["queued", "starting", "attesting", "computing", "committing", "done"]


def key(seed, size=32):
    return bytes((seed + i * 7) & 255 for i in range(size))


def judge_store(driver, said, after):
    lines = said + (after or [])
    path = os.path.join(driver.home, "operator.db")
    promised = set(acknowledged(lines, ""))
    if not os.path.exists(path):
        equal(promised, set(), "acknowledged without a database")
        return
    base = sqlite3.connect(path, timeout=5)
    try:
        equal(base.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity")
        tables = {name for (name,) in base.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}

        def rows(sql, table):
            return base.execute(sql).fetchall() if table in tables else []
        party = rows("SELECT name, kid, file FROM party", "party")
        check(party in ([], [("alice", key(1), BLOB[:300])]), "a party is half there")
        agreement = rows("SELECT id, state, file, length(proof) FROM agreement", "agreement")
        check(agreement in ([], [(key(3), "proposed", BLOB[:9000], 0)], [(key(3), "active", BLOB[:9000], 900)]), f"the agreement is half there: {agreement}")
        members = {kid for (kid,) in rows("SELECT kid FROM member", "member")}
        check(not agreement or members == {key(1), key(2)}, "an agreement whose members do not see it")
        check(members <= {key(1), key(2)}, "a member who is none")
        orders = rows("SELECT party, sequence, file FROM orders", "orders")
        check(orders in ([], [("alice", 5, BLOB[:400])]), "an order is half there")
        dataset = rows("SELECT version, size, received, complete, manifest FROM dataset", "dataset")
        check(not dataset or (dataset[0][0], dataset[0][4]) == (key(4), BLOB[:700]), "a dataset is half there")
        run = rows("SELECT state, request, length(prepared), length(commits), length(receipt) FROM run", "run")
        check(not run or len(run) == 1 and run[0][1] == BLOB[:600], "a run is half there")
    finally:
        base.close()
    check("party" not in promised or party, "lost: party")
    check("agreement proposed" not in promised or agreement, "lost: agreement")
    check("agreement active" not in promised or agreement[0][1] == "active", "lost: activation")
    check("order" not in promised or orders, "lost: order")
    judge_upload(driver, promised, dataset)
    judge_run(driver, lines, run)
    if after is not None:
        must_succeed(after, ["open", "party", "agreement active", "order", "dataset", "run done", "reason"])
        equal((agreement[0][1], dataset[0][3], run[0][0]), ("active", 1, "done"), "the end")


def judge_upload(driver, promised, dataset):
    marks = [int(one.split()[1]) for one in promised if one.startswith("upload ")]
    check("dataset" not in promised or dataset, "lost: dataset")
    received = dataset[0][2] if dataset else 0
    check(received >= max(marks, default=0), f"acknowledged bytes {marks}, but the mark is {received}")
    check(not dataset or dataset[0][3] == (received == len(BLOB)), "complete before it is")
    if received:
        with open(os.path.join(driver.home, "blobs", "dataset-" + key(4).hex()), "rb") as file:
            check(file.read()[:received] == BLOB[:received], "the content below the mark is not what was sent")


def judge_run(driver, lines, run):
    states = [line.split()[2] for line in lines if line.startswith("ok run ") and line.split()[2] in STATES]
    check(not states or run, "lost: run")
    if not run:
        return
    state, _, prepared, commits, receipt = run[0]
    # A run that was worked at again went back by request of this test; it never goes back by itself.
    last = states[-1] if states else "queued"
    check(STATES.index(state) >= min(STATES.index(last), STATES.index("attesting")), f"the run is {state}, acknowledged was {last}")
    if states and last in ("attesting", "computing", "committing", "done"):
        check(STATES.index(state) >= STATES.index(last), f"the run is {state}, acknowledged was {last}")
    if state in ("committing", "done"):
        equal(prepared, 5000, "prepared commits")
        with open(os.path.join(driver.home, "blobs", "output-" + key(6, 16).hex()), "rb") as file:
            equal(file.read(), BLOB[:20000], "the output")
    if state == "done":
        equal((commits, receipt), (3000, 20000), "commits and receipt")


@scenario("the operator's store holds no half objects, whatever the disk does", seconds=300)
def store():
    sweep("store", judge_store)


# ---- the ledger ----

def judge_kms(driver, said, after):
    lines = said + (after or [])
    run_a, run_b = (bytes.fromhex(driver.facts[name]) for name in ("run-a", "run-b"))
    ledger = Ledger(driver.home)
    equal(ledger.objections(), [], "the ledger")
    check(not acknowledged(lines, "thief"), "a second runtime was given the key of the run")
    rows_a, rows_b = ledger.state_of(run_a), ledger.state_of(run_b)
    check(rows_a in ([], [RESERVE], [RESERVE, COMMIT], [RESERVE, EXPIRE]), f"rows {rows_a}")
    check(rows_b in ([], [RESERVE], [RESERVE, EXPIRE]), f"rows {rows_b}")
    check("ok release-a" not in lines or rows_a, "a key was given without its record")
    check("ok release-b" not in lines or rows_b, "a key was given without its record")
    committed = COMMIT in rows_a
    check("ok commit" not in lines or committed, "an acknowledged commit is lost")
    equal(len({line for line in lines if line.startswith("committed ")}) <= 1, True, "two answers to one commit")
    equal(sum(ledger.spent().values()), Fraction(1, 100) if committed else 0, "spent")
    base = sqlite3.connect(os.path.join(driver.home, "kms.db"))
    try:
        versions = {row[0].hex() for row in base.execute("SELECT version FROM deks")}
        state = dict(base.execute("SELECT hex(id), state FROM agreements")).get(driver.facts["agreement"].upper())
        orders = base.execute("SELECT count(*) FROM orders").fetchone()[0]
        integrity = base.execute("PRAGMA integrity_check").fetchall()
    finally:
        base.close()
    equal(integrity, [("ok",)], "integrity")
    check("ok import" not in lines or driver.facts["version"] in versions, "an acknowledged key is lost")
    check("ok limit" not in lines or Fraction(next(iter(ledger.balances.values()))[0]) == Fraction(2, 25), "an acknowledged limit is lost")
    check("ok order" not in lines or (state, orders) == (3, 1), f"an acknowledged stop is lost: state {state}, {orders} orders")
    if after is not None:
        late = "passed" in said
        refusals = {"thief", "release-a-late"} | ({"release-a", "commit", "shares", "release-b"} if late or "ok order" in said else {"release-a", "shares"})
        must_succeed(after, ["open", "agreement", "limit", "import", "rotate", "order"] + ([] if late else ["commit", "shares"]), refusals)
        check("closed" in after, "it did not come to its end")
        equal(set(ledger.reserved().values()) <= {Fraction(0)}, True, "leases that are over hold nothing back")
        if not late:
            check(committed, "the run can be repeated and committed")


@scenario("the ledger keeps keys, budget and orders true, whatever the disk does", seconds=600)
def ledger():
    sweep("kms", judge_kms)


def judge_init(driver, said, after):
    if after is not None:
        must_succeed(after, ["init", "open"])
        equal(Ledger(driver.home).objections(), [], "the new ledger")


@scenario("a key service that was half made is made whole by the same command", seconds=300)
def initialise():
    sweep("kms-init", judge_init)
    print(f"# {sum(totals.values())} faults in all: " + ", ".join(f"{name} {count}" for name, count in totals.items()))


@scenario("the command that makes a key service can be repeated wherever it was broken off", seconds=300)
def init_command():
    folder = tempfile.mkdtemp(prefix="cloister-fault-")
    faults, home = Faults(os.path.join(folder, "control")), os.path.join(folder, "home")
    programs = os.path.join(build_folder(), "bin")
    bare = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent"}
    # It need not be there: the command only keeps it. The key is the base point, which is a valid one.
    key = bytes([4, 0x58]) + bytes([0x66]) * 31
    name = "witness.test"
    vkey = f"{name}+{hashlib.sha256(name.encode() + bytes([10]) + key).digest()[:4].hex()}+{base64.b64encode(key).decode()}"
    witness_line = f"https://127.0.0.1:9,{'ab' * 32},{vkey}"
    ask = [os.path.join(programs, "cloister-kms"), "init", "--home", home, "--owner", os.path.join(folder, "cli", "owner.party"), "--witness", witness_line]

    def complete():
        return os.path.exists(os.path.join(home, "listen"))

    def require_witnessed(when):
        with open(os.path.join(home, "witnesses"), encoding="ascii") as text:
            equal(text.read(), witness_line + "\n", when)

    try:
        subprocess.run([os.path.join(programs, "cloister"), "--home", os.path.join(folder, "cli"), "party", "new", "owner"], env=bare, check=True, capture_output=True)
        faults.watch(folder)
        number, points = 1, 0
        while True:
            shutil.rmtree(home, ignore_errors=True)
            faults.arm("kill", number, number)
            first = subprocess.run(ask, env=dict(bare, **faults.environment(build_folder())), capture_output=True, timeout=20)
            if faults.hits == 0:
                equal(first.returncode, 0, first.stderr)
                require_witnessed("an undisturbed command")
                break
            if complete():  # it could be served from now on
                require_witnessed(f"call {number}, broken off")
            again = subprocess.run(ask, env=bare, capture_output=True, timeout=20)
            if complete() and again.returncode == 2:  # it was complete but for its last words
                check(b"home of a key service already" in again.stderr, again.stderr)
            else:
                check(again.returncode == 0 and b"spki" in again.stdout, f"call {number}: {again}")
            require_witnessed(f"call {number}, repeated")
            points, number = points + 1, number + STRIDE
        print(f"# {points} kills")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    raise SystemExit(main())
