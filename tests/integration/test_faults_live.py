"""Faults under the real daemons while they serve: a disk that is full, read-only or gone, a clock that jumps, peers that are slow or vanish, no descriptors,
and a service that dies between a commit and its answer. Each time: a clear refusal at once, never a hang, never going on in silence; and work goes on
once the fault is over."""
import http.client
import os
import resource
import shutil
import signal
import socket
import ssl
import threading
import time
from fractions import Fraction

from fault_control import SEND, Faults, build_folder
from owner_ledger import COMMIT, EXPIRE, RESERVE, Ledger
from plain_formats import checkpoint_open, journal_of
from scenario import Skip, check, equal, main, scenario
from world import World, address, http_ask, kill_process, tls, until

AT_ONCE = 0.05
PRICE = Fraction(1, 100)


class Faulty:
    """A world whose operator and south's key service run under the fault library."""

    def __init__(self):
        self.world = w = World(row_count=300, lease=10, reattest=5, price=str(PRICE), limit="5", steps=300, count=1000)
        self.faults, self.runs = {}, []
        for daemon, home in ((w.operator, w.operator_home), (w.owners[1].kms, w.owners[1].kms_home)):
            faults = Faults(w.path(daemon.name + ".fault"))
            faults.watch(home)
            daemon.environment = faults.environment(build_folder())
            daemon.stop()
            daemon.start()
            self.faults[daemon] = faults

    @property
    def operator(self):
        return self.faults[self.world.operator]

    @property
    def south(self):
        return self.faults[self.world.owners[1].kms]

    def start(self, name="means"):
        run_id = self.world.start_run(name)
        self.runs.append(run_id)
        return run_id

    def works(self, name="means"):
        run_id = self.start(name)
        view = self.world.end_of(run_id)
        equal(view["state"], "done", str(view))
        return run_id

    def fails(self, words):
        """A run is taken, and ends with a reason that has one of these words; at no owner is anything spent for it."""
        run_id = self.start()
        view = self.world.end_of(run_id)
        equal(view["state"], "failed", str(view))
        check(any(word in view["text"] for word in words), str(view))
        return view

    def refused(self, words):
        """The start of a run is refused at once with a reason. Timed on a warm connection, the best of eight: the machine may be busy."""
        w = self.world
        kept = w.path("refused.request")
        done = w.analyst.cli("run", "start", w.agreement, "means", "--request-out", kept)
        check(done.code != 0 and any(word in done.err for word in words), repr(done))
        token = w.analyst.identity().token(w.operator_info["audience"])
        connection = http.client.HTTPSConnection(*address(w.operator_info["url"]), context=tls(), timeout=5)
        best = 9.0
        with open(kept, "rb") as file:
            body = file.read()
        try:
            for _ in range(8):
                began = time.monotonic()
                connection.request("POST", "/api/v1/runs", body=body, headers={"Authorization": "Bearer " + token, "Content-Type": "application/cose"})
                answer = connection.getresponse()
                text = answer.read().decode()
                best = min(best, time.monotonic() - began)
                check(answer.status == 503 and any(word in text for word in words), f"{answer.status} {text}")
                check(answer.headers["Retry-After"], "when to come again")
        finally:
            connection.close()
        check(best < AT_ONCE, f"the refusal took {best * 1000:.0f} ms")
        return best

    def true(self):
        """No ledger and no log tells anything that cannot be."""
        w = self.world
        for owner in w.owners:
            ledger = Ledger(owner.kms_home)
            equal(ledger.objections(), [], owner.name)
            committed = sum(COMMIT in ledger.state_of(bytes.fromhex(run_id)) for run_id in self.runs)
            equal(sum(ledger.spent().values()), PRICE * committed, f"spent at {owner.name}")
        entries, _ = journal_of(os.path.join(w.operator_home, "log"))
        with open(os.path.join(w.operator_home, "log", "checkpoint"), encoding="utf-8") as file:
            check(checkpoint_open(file.read())[1] <= len(entries), "the log's checkpoint covers entries that are not there")

    def close(self):
        for faults in self.faults.values():
            faults.rest()
            faults.clock(0)
        self.world.close()


# ---- disks ----

@scenario("a full disk at the operator: new runs are refused at once with the reason, and taken again once there is room", seconds=60)
def operator_full(f):
    f.works()
    for how, words in (("disk full", ["No space left"]), ("read-only", ["Read-only"]), ("io error", ["Input/output error"])):
        f.operator.arm(how)
        try:
            took = f.refused(words)
            equal(http_ask(f.world.operator_info["url"], "GET", "/readyz").status, 503, "readiness")
            equal(http_ask(f.world.operator_info["url"], "GET", "/healthz").status, 200, "it lives")
        finally:
            f.operator.rest()
        print(f"# {how}: refused in {took * 1000:.1f} ms")
        f.works()
    f.true()


@scenario("a disk that fills up under a run: the run ends with a reason or waits for room, and nothing is lost", seconds=60)
def full_under_a_run(f):
    w = f.world
    run_id = f.start("model")
    until(lambda: (w.view(run_id) or {}).get("state") in ("computing", "committing", "done"), 15, "the run computes", 0.01)
    f.operator.arm("disk full")
    time.sleep(1.5)
    f.operator.rest()
    view = w.end_of(run_id)
    committed = [COMMIT in Ledger(owner.kms_home).state_of(bytes.fromhex(run_id)) for owner in w.owners]
    check(view["state"] == "done" and all(committed) or view["state"] == "failed" and view["text"] and view["released"] == all(committed), f"{view} {committed}")
    if view["state"] == "done":
        w.analyst.must("output", "open", run_id)
    print(f"# {view['state']}: {view['text']}")
    f.works()
    f.true()


@scenario("a removed journal: refused at once with the reason; put back, work goes on; a restart loses nothing", seconds=60)
def journal_removed(f):
    w = f.world
    journal = os.path.join(w.operator_home, "log", "journal")
    os.rename(journal, journal + ".away")
    try:
        took = f.refused(["journal was removed"])
        shutil.copy(journal + ".away", journal)
        f.refused(["journal was removed or replaced"])
    finally:
        os.rename(journal + ".away", journal)
    print(f"# refused in {took * 1000:.1f} ms")
    f.works()
    f.true()


@scenario("a journal removed under a run: its statement waits and says why; with the file back the run is done", seconds=60)
def journal_removed_under_a_run(f):
    w = f.world
    journal = os.path.join(w.operator_home, "log", "journal")
    before = len(journal_of(os.path.dirname(journal))[0])
    run_id = f.start("model")
    os.rename(journal, journal + ".away")
    try:
        view = until(lambda: (lambda v: v if v and "could not be written" in v["text"] else None)(w.view(run_id)), 20, "the run says why it waits")
        equal((view["state"], view["released"]), ("committing", True), "released, but not registered")
    finally:
        os.rename(journal + ".away", journal)
    equal(w.end_of(run_id)["state"], "done", "with the journal back")
    equal(len(journal_of(os.path.dirname(journal))[0]), before + 1, "registered once")
    f.true()


@scenario("a removed database at the operator: refused at once with the reason", seconds=40)
def database_removed(f):
    base = os.path.join(f.world.operator_home, "operator.db")
    for name in (base, base + "-wal"):
        os.rename(name, name + ".away")
        try:
            f.refused(["database was removed"])
        finally:
            os.rename(name + ".away", name)
        f.works()


@scenario("a key service whose disk is full, read-only or failing gives no key and says why", seconds=90)
def key_service_full(f):
    for how, words in (("disk full", ["the disk is full"]), ("read-only", ["the disk fails", "read-only"]), ("io error", ["the disk fails"])):
        f.south.arm(how)
        try:
            f.fails(words)
        finally:
            f.south.rest()
        f.works()
    f.true()


@scenario("a key service whose ledger was removed gives no key and says why", seconds=60)
def ledger_removed(f):
    base = os.path.join(f.world.owners[1].kms_home, "kms.db")
    for name in (base, base + "-wal"):
        os.rename(name, name + ".away")
        try:
            f.fails(["ledger was removed or replaced"])
        finally:
            os.rename(name + ".away", name)
        f.works()
    f.true()


# ---- clocks ----

@scenario("clocks that jump: refused with the reason while they are wrong, and nothing is left of it", seconds=60)
def clocks(f):
    f.south.clock(86400)
    try:
        view = f.fails(["clock"])
        equal(view["denial"]["claim"] if view.get("denial") else "clock.wall", "clock.wall", "claim")
    finally:
        f.south.clock(0)
    f.works()
    f.south.clock(-86400)
    f.works()  # its time does not go back
    f.south.clock(0)
    for seconds in (86400, -86400):
        f.operator.clock(seconds)
        try:
            done = f.world.analyst.cli("run", "start", f.world.agreement, "means")
            check(done.code == 1 and "token" in done.err, repr(done))
        finally:
            f.operator.clock(0)
        f.works()
    f.true()


# ---- peers ----

@scenario("clients that send a byte a second, or nothing, delay nobody and are cut off", seconds=60)
def slow_clients(f):
    url = f.world.operator_info["url"]
    slow = []
    for index in range(60):
        plain = socket.create_connection(address(url), 5)
        slow.append(tls().wrap_socket(plain) if index % 3 == 0 else plain)  # two of three never even shake hands
    for one in slow:
        one.setblocking(False)
    began, cut = time.monotonic(), set()
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Padding: " + b"x" * 200
    worst = 0.0
    while time.monotonic() - began < 13:
        step = int(time.monotonic() - began)
        for index, one in enumerate(slow):
            if index in cut:
                continue
            try:
                if index % 3 == 0:
                    one.send(head[step:step + 1])
                if one.recv(1) == b"":
                    cut.add(index)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                cut.add(index)
        asked = time.monotonic()
        equal(http_ask(url, "GET", "/healthz").status, 200, "an honest client")
        worst = max(worst, time.monotonic() - asked)
        time.sleep(0.4)
    print(f"# {len(cut)} of {len(slow)} cut off, honest clients waited at most {worst * 1000:.0f} ms")
    equal(len(cut), len(slow), "slow clients that were cut off")
    check(worst < 2, f"an honest client waited {worst:.1f} s")
    for one in slow:
        one.close()
    f.works()


class Stranger:
    """In the place of a service, with its TLS identity: takes every connection and answers four bytes a second (slow) or never (swallows)."""

    def __init__(self, url, home, answers):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(os.path.join(home, "tls.pem"), os.path.join(home, "tls.key"))
        self.context.set_alpn_protocols(["http/1.1"])
        self.answers, self.gone, self.over, self.asked, self.held = answers, False, False, 0, []
        self.listener = socket.create_server(address(url), reuse_port=False)
        self.listener.settimeout(0.2)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.gone:
            try:
                plain, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.asked += 1
            self.held.append(plain)
            if self.answers:
                threading.Thread(target=self.trickle, args=(plain,), daemon=True).start()

    def trickle(self, plain):
        try:
            plain.settimeout(5)
            channel = self.context.wrap_socket(plain, server_side=True)
            channel.recv(65536)
            channel.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(1000):
                channel.send(b"x")
                time.sleep(0.25)
                if self.over:
                    return
        except OSError:
            pass

    def leave(self):
        """Free the address; whoever is connected stays so."""
        self.gone = True
        self.thread.join()
        self.listener.close()

    def close(self):
        self.leave()
        self.over = True
        for one in self.held:
            one.close()


@scenario("a witness that answers byte by byte, or never, holds back what it must sign and nothing else, and soon after it is back runs are done", seconds=60)
def slow_witness(f):
    w = f.world
    for answers in (True, False):
        w.witness.stop()
        stranger = Stranger(w.witness_info["url"], w.witness_home, answers)
        try:
            run_id = f.start()
            until(lambda: stranger.asked, 10, "the witness is asked")
            equal(http_ask(w.operator_info["url"], "GET", "/readyz").status, 200, "readiness")
            equal(w.analyst.cli("run", "list").code, 0, "others are served")
            time.sleep(2)
        finally:
            stranger.leave()
            w.witness.start()
        began = time.monotonic()
        try:
            equal(w.end_of(run_id, 30)["state"], "done", "with the witness back")
        finally:
            stranger.close()
        print(f"# {'slow' if answers else 'silent'}: done {time.monotonic() - began:.1f} s after it was back")
    f.true()


@scenario("a key service that takes connections and never answers: the run ends within its bounds, and its worker is free", seconds=240)
def silent_key_service(f):
    if os.environ.get("FAULT_STRIDE") != "1":
        raise Skip("it takes minutes; make faults runs it")
    w, south = f.world, f.world.owners[1]
    south.kms.stop()
    stranger = Stranger(south.info["url"], south.kms_home, False)
    try:
        began = time.monotonic()
        run_id = f.start()
        view = w.end_of(run_id, 220)
        equal(view["state"], "failed", str(view))
        check("south" in view["text"] + str(view.get("owner", "")), str(view))
        print(f"# failed after {time.monotonic() - began:.1f} s: {view['text']}")
    finally:
        stranger.close()
        south.kms.start()
    f.works()


@scenario("no descriptors left: others are served again as soon as there are some, without spinning meanwhile", seconds=60)
def no_descriptors(f):
    w = f.world
    used = len(os.listdir(f"/proc/{w.operator.pid}/fd"))
    before = resource.prlimit(w.operator.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(w.operator.pid, resource.RLIMIT_NOFILE, (used + 4, before[1]))
    held = [socket.create_connection(address(w.operator_info["url"]), 5) for _ in range(20)]
    try:
        def cpu():
            with open(f"/proc/{w.operator.pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        time.sleep(0.3)
        spent = cpu()
        time.sleep(2)
        spent = cpu() - spent
        check(spent < 0.5, f"{spent:.2f} s of processor time in 2 s without descriptors")
        check(w.operator.alive(), w.operator.tail())
    finally:
        for one in held:
            one.close()
        resource.prlimit(w.operator.pid, resource.RLIMIT_NOFILE, before)
    until(lambda: http_ask(w.operator_info["url"], "GET", "/healthz").status == 200, 5, "it serves again")
    f.works()
    f.south.arm("no descriptors")  # files, at the key service
    f.south.rest()
    f.works()


# ---- sends ----

def south_answers(f):
    """How often south's key service sends in a run without faults."""
    f.south.count(SEND)
    f.works()
    calls = f.south.calls
    f.south.rest()
    return calls


def judge(f, run_id):
    """The run's end fits the ledgers: whatever was committed everywhere is released, and what is not is refunded."""
    w = f.world
    view = w.end_of(run_id, 40)
    kinds = [Ledger(owner.kms_home).state_of(bytes.fromhex(run_id)) for owner in w.owners]
    check(all(kind in ([], [RESERVE], [RESERVE, COMMIT], [RESERVE, EXPIRE]) for kind in kinds), f"{kinds}")
    committed = all(COMMIT in kind for kind in kinds)
    equal(view["released"], committed, f"{view} {kinds}")
    equal(w.analyst.cli("output", "open", run_id).code == 0, committed, "the output opens exactly where it was released")
    return view["state"]


@scenario("a key service that is killed before or after any of its answers, or whose connection breaks there", seconds=240)
def answers_lost(f):
    south = f.world.owners[1].kms
    count = south_answers(f)
    step = int(os.environ.get("FAULT_STRIDE", "16"))
    said, points = [], 0
    for how in ("kill", "kill after", "io error", "torn write"):
        # the last answers carry the commit
        for number in range(1, count + 1) if step == 1 else sorted({count // 2, count - 2, count - 1, count}):
            f.south.arm(how, number, number, SEND)
            run_id = f.start()
            until(lambda: f.south.hits or not south.alive() or (f.world.view(run_id) or {}).get("state") in ("done", "failed"), 20, "the fault or the end", 0.01)
            f.south.rest()
            if how != "io error":
                until(lambda: not south.alive() or (f.world.view(run_id) or {}).get("state") in ("done", "failed"), 5, "it dies", 0.01)
            if not south.alive():
                south.kill()
                south.start()
            said.append(f"{how} {number}: {judge(f, run_id)}")
            points += 1
    print(f"# {count} sends in a run, {points} faults: " + ", ".join(said))
    f.true()
    f.works()


@scenario("a runtime killed after the commit and before it could tell: recipients open the output, and the run says so", seconds=90)
def finish_lost(f):
    w, south = f.world, f.world.owners[1].kms
    lost = 0
    count = south_answers(f)
    for number in range(count, 0, -1):
        # The key service halts right before this answer; the runtime dies waiting for it.
        f.south.arm("stop", number, number, SEND)
        run_id = f.start()

        def halted():
            with open(f"/proc/{south.pid}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] == "T"
        until(lambda: halted() or (w.view(run_id) or {}).get("state") == "done", 20, "it halts", 0.005)
        kinds = [Ledger(owner.kms_home).state_of(bytes.fromhex(run_id)) for owner in w.owners] if halted() else []
        runtimes = w.children_of(w.operator) if halted() else []
        for pid in runtimes:
            kill_process(pid)
        os.kill(south.pid, signal.SIGCONT)
        f.south.rest()
        state = judge(f, run_id)
        if kinds == [[RESERVE, COMMIT]] * 2 and runtimes:
            print(f"# before answer {number} of {count}: {state}: {w.view(run_id)['text']}")
            equal(w.view(run_id)["released"], True, "both owners had committed")
            lost += 1
            break
    equal(lost, 1, "no answer was the one to the commit")
    f.true()
    f.works()


if __name__ == "__main__":
    raise SystemExit(main(Faulty, Faulty.close))
