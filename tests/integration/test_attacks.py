"""The demo with its eight attacks, and what it leaves behind, judged from outside; then a world of its own in which planted bytes are searched for, the runtime's
cage is looked at from outside, and runs race for the last of a budget."""
import csv
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from fractions import Fraction

from owner_ledger import Ledger
from plain_formats import Identity
from scenario import Skip, check, equal, main, scenario
from world import ROOT, World, program, rows_text, run, until

# Section of the demo -> claims that its refusals must name, in order.
ATTACKS = {
    "5.1": ["evidence.measurement"],
    "5.2": ["nonce.unused", "evidence.report_data"],
    "5.3": ["agreement.not_after", "agreement.not_after", "agreement.signatures", "agreement.signatures"],
    "5.4": ["budget.rho"],
    "5.5": ["run.id"],
    "5.6": ["channel.leaf", "channel.binding", "evidence.report_data", "tls.server.spki"],
    "5.7": ["dataset.chunk"],
    "5.8": ["run.id"],
}


class Attacked:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="cloister-demo-")
        self.keep = os.path.join(self.folder, "demo")
        self.done, self.world = None, None

    def demo(self):
        if self.done is None:
            began = time.monotonic()
            self.done = run([program("cloister"), "demo", "--attacks", "--keep", self.keep], seconds=150)
            self.seconds = time.monotonic() - began
        return self.done

    def own_world(self):
        if self.world is None:
            # One price is a fifth of the budget.
            self.world = World(owners=("north",), row_count=300, price="1/5", limit="1", lease=30)
        return self.world

    def close(self):
        if self.world is not None:
            self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def contents(folder):
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    yield path, file.read()


def memory_of(pid):
    """Every readable page of a process."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            words = line.split()
            if not words[1].startswith("r") or line.endswith("[vvar]\n") or line.endswith("[vsyscall]\n"):
                continue
            start, end = (int(part, 16) for part in words[0].split("-"))
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue


def in_memory(pid, needles):
    found = set()
    for piece in memory_of(pid):
        found |= {needle for needle in needles if needle in piece}
    return found


@scenario("the demo with its attacks holds in every step", seconds=160)
def demo(attacked):
    done = attacked.demo()
    equal(done.code, 0, repr(done))
    check("Every step held" in done.out and "[FAIL" not in done.out.upper(), done.out[-2000:])
    print(f"# {attacked.seconds:.1f} s")


@scenario("each of the eight attacks is refused for the right reason")
def claims(attacked):
    out = attacked.demo().out
    sections = re.split(r"^ +(5\.\d) ", out, flags=re.M)
    found = {sections[i]: sections[i + 1] for i in range(1, len(sections) - 1, 2)}
    equal(sorted(found), sorted(ATTACKS), "sections")
    for number, wanted in ATTACKS.items():
        text = found[number].partition("\n6. ")[0]
        equal(re.findall(r"^ +\| claim +(\S+)$", text, re.M), wanted, f"claims of {number}")
        for word in ("expected", "actual", "source", "remedy"):
            equal(len(re.findall(rf"^ +\| {word} +\S", text, re.M)), len(wanted), f"{word} of {number}")
        check("[ok]" in text, f"{number} did not hold")


@scenario("the demo leaves no process, true ledgers, and receipts that verify")
def left_behind(attacked):
    check(attacked.demo().code == 0, "the demo failed")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    check(attacked.keep.encode() not in file.read(), f"process {entry} still runs")
            except OSError:
                continue
    spent = set()
    for letter in "abc":
        ledger = Ledger(os.path.join(attacked.keep, f"hospital-{letter}", "kms"))
        equal(ledger.objections(), [], f"ledger of hospital-{letter}")
        spent.add(tuple(sorted(ledger.spent().values())))
        # Two clones, a rolled-back operator, replays: still each run at most once.
        for release in ledger.releases:
            check(ledger.state_of(release).count(2) <= 1, "a run was committed twice")
    equal(len(spent), 1, f"the hospitals spent differently: {spent}")
    home = os.path.join(attacked.keep, "analyst", "home")
    receipts = [path for path, _ in contents(os.path.join(attacked.keep, "analyst")) if path.endswith(".receipt")]
    check(len(receipts) >= 2, f"{receipts}")
    for path in receipts:
        equal(run([program("cloister"), "--home", home, "receipt", "verify", path]).code, 0, path)


@scenario("no row and no secret of a party is in the files of operator and witness")
def demo_files(attacked):
    check(attacked.demo().code == 0, "the demo failed")
    with open(os.path.join(ROOT, "examples", "breast-cancer", "wdbc.csv")) as file:
        rows = [",".join(row).encode() for row in list(csv.reader(file))[1:]]
    needles = {row[:40] for row in rows} | {row[-40:] for row in rows}
    for party in ("hospital-a", "hospital-b", "hospital-c", "analyst"):
        who = Identity.read(os.path.join(attacked.keep, party, "home", "identity.key"))
        needles |= {who.seed, who.hpke, who.seed.hex().encode(), who.hpke.hex().encode()}
    at_home = set()
    for letter in "abc":
        for _, data in contents(os.path.join(attacked.keep, f"hospital-{letter}")):
            at_home |= {needle for needle in needles if needle in data}
    check(len(at_home) > len(rows), "the searcher does not even find the rows at their owners")
    for place in ("operator", "witness"):
        for path, data in contents(os.path.join(attacked.keep, place)):
            check(not any(needle in data for needle in needles), f"{path} has what it may not have")


@scenario("planted row bytes are nowhere at the operator: files, logs, memory, arguments, environment", seconds=90)
def planted(attacked):
    if os.geteuid() != 0:
        raise Skip("reading other processes' memory needs root")
    w = attacked.own_world()
    north = w.owners[0]
    notes = re.findall(r"row-1-\d{5}-[0-9a-f]{16}", rows_text(1, 300))
    # Every note begins alike; searching for one beginning is quicker than for 300 notes.
    needles = {b"row-1-00"} | {north.identity().seed, w.analyst.identity().seed, north.identity().hpke, w.analyst.identity().hpke}
    with open(w.path("north.csv"), "rb") as file:
        check(notes[0].encode() in file.read(), "the searcher finds nothing at all")
    stop, found = threading.Event(), []

    def watch():
        while not stop.is_set():
            for daemon in w.daemons:
                hit = in_memory(daemon.pid, needles)
                if hit:
                    found.append((daemon.name, hit))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        view = w.analyst.must_json("run", "start", w.agreement, "model", "--watch")
        equal(view["state"], "done", "state")
        time.sleep(1)
    finally:
        stop.set()
        watcher.join()
    equal(found, [], "in the memory of a daemon")
    for daemon in w.daemons:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{daemon.pid}/{name}", "rb") as file:
                text = file.read()
            check(not any(needle in text or needle.hex().encode() in text for needle in needles), f"{daemon.name}: {name}")
    for folder in (w.operator_home, w.witness_home, north.kms_home):
        for path, data in contents(folder):
            check(not any(needle in data for needle in needles), path)
    for daemon in w.daemons:
        check(not any(note in daemon.tail() for note in notes), f"log of {daemon.name}")


@scenario("the runtime's cage, seen from outside while a run waits", seconds=60)
def cage(attacked):
    w = attacked.own_world()
    kms = w.owners[0].kms
    os.kill(kms.pid, signal.SIGSTOP)
    try:
        run_id = w.start_run("means")
        found = until(lambda: [pid for pid in w.children_of(w.operator) if (w.view(run_id) or {}).get("state") == "attesting"], 15, "a waiting runtime")
        pid = found[0]

        def read(name):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                return file.read()
        status = dict(line.split(":\t", 1) for line in read("status").decode().splitlines() if ":\t" in line)
        equal((status["Seccomp"].strip(), status["NoNewPrivs"].strip()), ("2", "1"), "seccomp and no new privileges")
        equal(read("environ").strip(b"\0"), b"", "environment")
        equal(read("cmdline").count(b"\0"), 1, "arguments")
        limits = read("limits").decode()
        check(re.search(r"Max core file size +0 +0 ", limits), "core files are possible")
        for name in ("net", "ipc", "mnt", "user", "uts"):
            try:
                own, host = os.readlink(f"/proc/{pid}/ns/{name}"), os.readlink(f"/proc/{w.operator.pid}/ns/{name}")
            except PermissionError:
                continue
            if name in ("net", "ipc", "mnt"):
                check(own != host, f"the runtime shares the operator's {name} namespace")
        kinds = sorted(os.readlink(f"/proc/{pid}/fd/{one}").split(":")[0] for one in os.listdir(f"/proc/{pid}/fd"))
        check(all(kind in ("socket", "/dev/null", "anon_inode", "/memfd", "pipe") or kind.startswith("/secretmem") or kind.startswith("/memfd") for kind in kinds),
              f"open files: {kinds}")
        check(kinds.count("socket") <= 4, f"sockets: {kinds}")
        with open(f"/proc/{pid}/net/tcp") as file:
            check("127.0.0.1" not in file.read(), "a TCP socket inside")
    finally:
        os.kill(kms.pid, signal.SIGCONT)
    equal(w.end_of(run_id)["state"], "done", "the run goes on")


@scenario("sixteen runs race for the last of a budget: it is never overspent, and used up", seconds=90)
def race(attacked):
    w = attacked.own_world()
    north = w.owners[0]
    left = Fraction(north.must_json("budget", "list")["budgets"][0]["left"])
    affordable = left // Fraction(1, 5)
    check(0 < affordable < 16, f"left {left}")
    ids, threads = [], []
    for _ in range(16):
        threads.append(threading.Thread(target=lambda: ids.append(w.start_run("means"))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    equal(len(set(ids)), 16, "runs")
    views = [w.end_of(one, 60) for one in ids]
    states = [view["state"] for view in views]
    equal(states.count("done"), affordable, f"{states}")
    for view in views:
        if view["state"] != "done":
            equal((view["denial"] or {}).get("claim"), "budget.rho", repr(view))
    ledger = Ledger(north.kms_home)
    equal(ledger.objections(), [], "ledger")
    equal(sum(ledger.spent().values()) + sum(ledger.reserved().values()), Fraction(1) - left % Fraction(1, 5), "spent")


@scenario("sixty-four clones of one request: one run, one release", seconds=60)
def clones(attacked):
    w = attacked.own_world()
    north = w.owners[0]
    north.must("budget", "set", "north-rows", "3")
    kept, answers = w.path("clone.request"), []
    # The agreement's own limit is used up: another agreement of the same parties, whose budget is the raised one.
    w.terms["limit"] = "3"
    w.make_agreement(name="second", title="the second")
    w.analyst.must("run", "start", w.agreement, "means", "--watch", "--request-out", kept)
    with open(kept, "rb") as file:
        request = file.read()
    before = Ledger(north.kms_home)

    def send():
        answers.append(w.analyst.ask("POST", "/api/v1/runs", body=request, headers={"Content-Type": "application/cose"}))
    threads = [threading.Thread(target=send) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal({(answer.status, answer.json()["id"], answer.json()["state"]) for answer in answers if answer.status != 503},
          {(202, answers[0].json()["id"], "done")}, "answers")
    time.sleep(0.5)
    after = Ledger(north.kms_home)
    equal((after.releases, after.spent()), (before.releases, before.spent()), "releases and spending")


if __name__ == "__main__":
    raise SystemExit(main(Attacked, Attacked.close))
