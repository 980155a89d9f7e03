"""A hostile operator and its friends, against real processes: a disk that is put back, clones of the operator that race with one signed request, clocks that
lie, a witness cut off, every coalition of the parties, and what can be tried on a budget. Scenarios are named after the threats of docs/threats.md."""
import itertools
import json
import os
import shutil
import signal
import socket
import threading
import time
from fractions import Fraction

from fault_control import Faults, build_folder
from owner_ledger import Ledger
from plain_formats import note_verified
from scenario import check, equal, main, scenario
from world import World, http_ask, program, rows_text, until

PRICE = Fraction(1, 100)
CLONES = int(os.environ.get("CLONES", "64"))
TEN_YEARS = 10 * 365 * 86400
COSE = {"Content-Type": "application/cose"}


class Hostile:
    def __init__(self):
        self.world = World(owners=("north", "south"), row_count=300, lease=30, reattest=10, price=str(PRICE), limit="1")
        self.north, self.south = self.world.owners
        self.copies = 0

    def close(self):
        self.world.close()

    def anew(self):
        """Another world, where this one cannot be mended."""
        self.close()
        self.__init__()

    def request(self, name="means"):
        """A run that is done, and its signed request."""
        w = self.world
        self.copies += 1
        kept = w.path(f"request-{self.copies}")
        view = w.analyst.must_json("run", "start", w.agreement, name, "--watch", "--request-out", kept)
        equal(view["state"], "done", repr(view))
        with open(kept, "rb") as file:
            return view["id"], file.read()

    def spent(self):
        return [sum(Ledger(owner.kms_home).spent().values()) for owner in self.world.owners]

    def true_ledgers(self):
        for owner in self.world.owners:
            equal(Ledger(owner.kms_home).objections(), [], f"ledger of {owner.name}")

    def replace_operator(self, folder):
        w = self.world
        w.operator.stop()
        shutil.rmtree(w.operator_home)
        shutil.copytree(folder, w.operator_home)
        w.operator.start()

    def under_shim(self, daemon, control):
        """The daemon again, with a clock that the test moves."""
        faults = Faults(self.world.path(control))
        daemon.stop()
        plain = daemon.command
        daemon.command = ["env"] + [f"{name}={value}" for name, value in faults.environment(build_folder()).items()] + plain
        daemon.start()
        return faults, plain

    def plain_again(self, daemon, plain):
        daemon.stop()
        daemon.command = plain
        daemon.start()

    def ends_refused(self, claims, run_id=None):
        view = self.world.end_of(run_id or self.world.start_run("means"))
        equal(view["state"], "failed", repr(view))
        check((view["denial"] or {}).get("claim") in claims, repr(view))
        check(view["denial"]["expected"] and view["denial"]["actual"] and view["denial"]["remedy"], repr(view))
        return view


# ---- T04 ----

@scenario("T04_rollback_of_the_operators_disk: a run is spent once, its receipt stays the only one, and the older log gets no cosignature", seconds=90)
def rollback(h):
    w = h.world
    h.request()
    w.operator.stop()
    snapshot = w.path("operator-before")
    shutil.copytree(w.operator_home, snapshot)
    w.operator.start()
    run_id, request = h.request()
    receipt = w.path("first.receipt")
    w.analyst.must("receipt", "fetch", run_id, "--out", receipt)
    spent = h.spent()
    h.replace_operator(snapshot)
    equal(w.view(run_id), None, "the restored operator knows the run")
    sent = w.analyst.ask("POST", "/api/v1/runs", body=request, headers=COSE)
    equal(sent.status, 202, repr(sent))
    view = h.ends_refused(["run.id", "run.state"], run_id)
    check(view["denial"]["owner"] in ("north", "south"), repr(view))
    equal(h.spent(), spent, "spent")
    equal(w.analyst.cli("receipt", "fetch", run_id, "--out", w.path("second.receipt")).code != 0, True, "a second receipt")
    w.analyst.must("receipt", "verify", receipt)
    # The log was rolled back with the rest: whatever is appended now, its witness remembers the longer one.
    w.start_run("means")
    time.sleep(2)
    note = http_ask(w.operator_info["url"], "GET", "/log/checkpoint").body.decode()
    check(note_verified(note, w.operator_info["log"]["vkey"]), note)
    check(not note_verified(note, w.witness_info["vkey"]), "the witness cosigned a second history")
    h.true_ledgers()
    h.anew()  # this operator's log is lost


# ---- T05 ----

def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@scenario("T05_parallel_clones: clones of the whole operator race with one signed request: one release, one spend, one output", seconds=240)
def clones(h):
    w = h.world
    # A request that nobody has released to: the operator dies with it while every key service stands still.
    w.operator.stop()
    snapshot, request = w.path("operator-to-clone"), w.path("unreleased.request")
    shutil.copytree(w.operator_home, snapshot)
    w.operator.start()
    for owner in w.owners:
        os.kill(owner.kms.pid, signal.SIGSTOP)
    try:
        w.analyst.must("run", "start", w.agreement, "means", "--request-out", request)
        w.operator.kill()
    finally:
        for owner in w.owners:
            os.kill(owner.kms.pid, signal.SIGCONT)
    with open(request, "rb") as file:
        data = file.read()
    before = h.spent()
    daemons, urls = [], []
    try:
        for number in range(CLONES):
            home = w.path(f"clone-{number}")
            shutil.copytree(snapshot, home)
            url = f"https://127.0.0.1:{free_port()}"
            urls.append(url)
            daemons.append(w.daemon(f"clone-{number}", [program("cloisterd"), "--home", home, "--listen", url[8:]]).start(30))
        answers = [None] * CLONES
        token = w.analyst.identity().token(w.operator_info["audience"])

        def send(number):
            answers[number] = http_ask(urls[number], "POST", "/api/v1/runs", body=data, headers=COSE, token=token, seconds=60)
        threads = [threading.Thread(target=send, args=(number,)) for number in range(CLONES)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        equal({one.status for one in answers}, {202}, repr(answers[0]))
        run_id = answers[0].json()["id"]

        def ended():
            views = [http_ask(url, "GET", "/api/v1/runs/" + run_id, token=w.analyst.identity().token(w.operator_info["audience"])).json() for url in urls]
            return views if all(one["state"] in ("done", "failed") for one in views) else None
        views = until(ended, 150, "the clones end", 1)
        states = [one["state"] for one in views]
        check(states.count("done") <= 1, f"{states}")
        claims = [(one["denial"] or {}).get("claim") for one in views if one["state"] == "failed"]
        check(all(claim in ("run.id", "run.state") for claim in claims), f"{claims}")
        # Each owner releases to whoever came first there: it may be one clone at north and another at south. Then none finishes and nothing is spent.
        spent = [now - then for now, then in zip(h.spent(), before)]
        equal(spent, [PRICE * states.count("done")] * 2, f"spent, {states}")
        for owner in w.owners:
            ledger = Ledger(owner.kms_home)
            equal(ledger.objections(), [], owner.name)
            check(ledger.state_of(bytes.fromhex(run_id)) in ([1], [1, 2]), f"{ledger.state_of(bytes.fromhex(run_id))}")
        print(f"# {CLONES} clones: {states.count('done')} done, {len(claims)} refused ({sorted(set(claims))})")
    finally:
        for one in daemons:
            one.kill()
            w.daemons.remove(one)
    # The witness has seen the winner's log: the original's history is another now.
    h.anew()
    h.request()


# ---- T06 ----

@scenario("T06_host_clock: ten years ahead and back at a key service and at the operator: refused or late, never accepted late", seconds=120)
def clocks(h):
    w = h.world
    faults, plain = h.under_shim(h.north.kms, "north.clock")
    try:
        h.request()
        for offset, claims in ((TEN_YEARS, ["clock.wall"]), (3600, ["clock.wall"])):
            faults.clock(offset)
            h.ends_refused(claims)
            faults.clock(0)
        for offset in (-TEN_YEARS, -3600, 0):
            faults.clock(offset)  # backwards its own time just goes on
            h.request()
        # An agreement that has ended stays ended, whatever the clocks are set back to.
        name = "short"
        w.make_agreement(name=name, title=name, not_after=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 8)))
        kept = w.path("short.request")
        equal(w.analyst.must_json("run", "start", w.agreement, "means", "--watch", "--request-out", kept)["state"], "done", "while it held")
        time.sleep(9)
        faults.clock(-3600)
        operator, operator_plain = h.under_shim(w.operator, "operator.clock")
        operator.clock(-30)
        try:
            started = w.analyst.cli("--json", "run", "start", w.agreement, "means", "--watch")
            equal(started.code, 1, repr(started))
            check("not_after" in started.out + started.err or "window" in started.out + started.err or "expired" in started.out + started.err, repr(started))
            # Ten years off the operator refuses every token: denial of service, no more.
            for offset in (TEN_YEARS, -TEN_YEARS):
                operator.clock(offset)
                check(w.analyst.ask("GET", "/api/v1/runs").status == 401, "a token of another decade")
        finally:
            h.plain_again(w.operator, operator_plain)
    finally:
        faults.clock(0)
        h.plain_again(h.north.kms, plain)
    h.true_ledgers()


# ---- T07 ----

@scenario("T07_withheld_revocation: a stop that the operator never sees ends releases at once", seconds=60)
def unseen_stop(h):
    w = h.world
    w.make_agreement(name="unseen", title="unseen")
    equal(w.end_of(w.start_run("means"))["state"], "done", "before")
    w.operator.stop()
    stopped = h.south.cli("agreement", "stop", w.agreement)
    w.operator.start()
    check(stopped.code in (0, 3), repr(stopped))
    shown = h.south.must_json("agreement", "status", w.agreement)
    print(f"# the operator says {shown['state']}")
    if shown["state"] == "active":
        h.ends_refused(["agreement.state"])
    else:
        check(w.analyst.cli("run", "start", w.agreement, "means").code == 1, "started although stopped")


@scenario("T07_withheld_revocation: with its log cut off from the witness, an operator gets no release ten minutes later", seconds=90)
def withheld(h):
    w = h.world
    config = os.path.join(w.operator_home, "cloisterd.yaml")
    w.make_agreement(name="cut", title="cut")
    equal(w.end_of(w.start_run("means"))["state"], "done", "before")
    w.operator.stop()
    with open(config) as file:
        text = file.read()
    check(w.witness_info["url"] in text, text)
    with open(config, "w") as file:
        file.write(text.replace(w.witness_info["url"], f"https://127.0.0.1:{free_port()}"))
    w.operator.start()
    faults, _ = h.under_shim(h.north.kms, "north.later")
    h.north.kms.stop()
    faults.clock(700)  # the service starts again 700 s later: the operator's newest cosignatures are as old
    h.north.kms.start()
    view = h.ends_refused(["log.fresh"], w.start_run("means"))
    equal(view["denial"]["owner"], "north", repr(view))
    print(f"# {view['denial']['expected']}; {view['denial']['actual']}")
    # The service's own witness away: nothing either.
    w.witness.stop()
    h.north.kms.stop()
    h.north.kms.start()
    h.ends_refused(["log.fresh", "ledger.witness"])
    h.anew()  # time never goes back at north


# ---- T09 ----

class Coalitions:
    """What each set of the parties can get. O = operator, A = analyst, N and S = owners."""

    def __init__(self, h):
        self.h, self.w = h, h.world
        self.parties = {"A": self.w.analyst, "N": h.north, "S": h.south}
        self.w.make_agreement(name="matrix", title="matrix")
        self.run_id = h.request()[0]
        self.outputs = 0

    def files(self, who):
        w = self.w
        place = {"O": [w.operator_home], "A": [w.analyst.home]}
        folders = place.get(who) or [self.parties[who].home, self.parties[who].kms_home]
        for folder in folders:
            for root, _, names in os.walk(folder):
                for name in names:
                    with open(os.path.join(root, name), "rb") as file:
                        yield file.read()

    def rows(self, members, owner):
        """Rows of an owner in the files of the members. The owner's table lies in its home for this."""
        needle = b"row-%d-00007-" % (1 if owner == "N" else 2)
        return any(needle in data for who in members for data in self.files(who))

    def output(self, members):
        """The result of a run, with everything that the operator stores."""
        for who in members:
            if who == "O":
                continue
            self.outputs += 1
            opened = self.parties[who].cli("output", "open", self.run_id, "--out", self.w.path(f"out-{self.outputs}"))
            if opened.code == 0:
                return True
            check(opened.code in (1, 3) and opened.err.strip(), repr(opened))
        return False

    def agreement(self, members):
        """A new agreement with the signatures of the members alone, brought to every key service."""
        signers, file = [who for who in members if who != "O"], self.w.path("".join(members) + ".agreement")
        shutil.copy(self.w.path("proposal.agreement"), file)
        for who in signers:
            self.parties[who].must("agreement", "sign", file)
        with open(file, "rb") as opened:
            data = opened.read()
        answers = [http_ask(owner.info["url"], "POST", "/v1/agreements", body=data, headers={"Content-Type": "application/octet-stream"}) for owner in self.w.owners]
        for one in answers:
            if one.status != 200:
                problem = one.json()
                equal((one.status, problem["claim"]), (403, "agreement.signatures"), repr(one))
                missing = [self.parties[who].name for who in "ANS" if who not in signers]
                check(all(name in problem["actual"] for name in missing), repr(problem))
        return all(one.status == 200 for one in answers)

    def start(self, members):
        """A run under the agreement in force."""
        for who in members:
            if who == "O":
                continue
            done = self.parties[who].cli("--json", "run", "start", self.w.agreement, "means", "--watch")
            if done.code == 0:
                return True
            equal(done.code, 1, repr(done))
            check("run.starter" in done.err, repr(done))
        return False

    def resume(self, members):
        """Go on although one outside the coalition has stopped."""
        outsiders = [who for who in "ANS" if who not in members]
        stopper = outsiders[0] if outsiders else "A"
        self.parties[stopper].must("agreement", "stop", self.w.agreement)
        for who in members:
            if who != "O":
                self.parties[who].must("agreement", "resume", self.w.agreement)
        answers = [http_ask(owner.info["url"], "GET", "/v1/agreements", token=owner.identity().token(owner.info["spki"])) for owner in self.w.owners]
        states = {one["state"] for answer in answers for one in answer.json()["agreements"] if one["id"] == self.w.agreement}
        for who in outsiders:  # back to active for the next
            self.parties[who].must("agreement", "resume", self.w.agreement)
        return states == {"active"}

    def budget(self, members, owner):
        """More budget for an owner's dataset than the owner gave."""
        service = self.parties[owner]
        listed = http_ask(service.info["url"], "GET", "/v1/budgets", token=service.identity().token(service.info["spki"])).json()["budgets"]
        for who in members:
            if who == "O":
                continue
            token = self.parties[who].identity().token(service.info["spki"])
            answer = http_ask(service.info["url"], "POST", "/v1/budgets/" + listed[0]["dataset"], body=json.dumps({"limit": listed[0]["limit"]}),
                              headers={"Content-Type": "application/json"}, token=token)
            if answer.status == 200:
                return True
            equal((answer.status, answer.json()["claim"]), (403, "caller.party"), repr(answer))
        return False


@scenario("T09_coalitions: what each set of operator, analyst and owners can get, and cannot", seconds=200)
def coalitions(h):
    c = Coalitions(h)
    w = h.world
    for owner in w.owners:  # the plain table stays with its owner: the searcher must find it there
        shutil.move(w.path(owner.name + ".csv"), os.path.join(owner.home, "rows.csv"))
    c.w.write("proposal.yaml", w.template_text(title="proposal"))
    w.analyst.must("agreement", "new", w.path("proposal.yaml"), "--out", w.path("proposal.agreement"))
    print("# members | rows of N | rows of S | result | new agreement | start | resume | budget of N | budget of S")
    for size in range(1, 5):
        for members in itertools.combinations("OANS", size):
            parties = set(members) - {"O"}
            wanted = ("N" in members, "S" in members, "A" in members, parties == set("ANS"), "A" in members, parties == set("ANS"), "N" in members, "S" in members)
            got = [c.rows(members, "N"), c.rows(members, "S"), c.output(members)]
            if "O" in members or size == 3 and parties == set("ANS"):  # the operator only adds to what the others can do
                got += [c.agreement(members), c.start(members), c.resume(members), c.budget(members, "N"), c.budget(members, "S")]
            else:
                got += list(wanted[3:])
            print("# " + " | ".join(["".join(members)] + ["yes" if one else "-" for one in got]))
            equal(tuple(got), wanted, f"coalition {members}")
    h.true_ledgers()


# ---- T11 ----

@scenario("T11_budget: no amount below zero, beyond all bounds or not a number comes in at any door", seconds=60)
def amounts(h):
    w = h.world
    before = h.spent()
    for number, bad in enumerate(["-1/2", "-0.1", "nan", "inf", "-inf", "1e999", "1/0", "0/0", "0x10", "1/2/3", "18446744073709551616", "", "0"]):
        for part in ("price", "limit"):
            w.write("bad.yaml", w.template_text(**{part: bad}))
            done = w.analyst.cli("agreement", "new", w.path("bad.yaml"), "--out", w.path(f"bad-{number}-{part}.agreement"))
            check(done.code in (2, 4) or done.code == 1 and "budget" in done.err, f"{part} {bad!r}: {done!r}")
            check(not os.path.exists(w.path(f"bad-{number}-{part}.agreement")), f"{part} {bad!r} made an agreement")
        if bad != "0":
            done = h.north.cli("budget", "set", "north-rows", bad)
            check(done.code == 2, f"budget {bad!r}: {done!r}")
    equal(h.spent(), before, "spent")


@scenario("T11_budget: the same rows under a new dataset id do not get a new budget; other rows do", seconds=60)
def same_rows(h):
    w = h.world
    table = w.write("again.csv", rows_text(1, 300))
    schema = w.path("schema.json")
    before = h.north.must_json("budget", "list")
    for name, text, code in (("copy", None, 1), ("north-rows", None, 0), ("other", rows_text(77, 300), 0)):
        if text is not None:
            w.write("again.csv", text)
        h.north.must("dataset", "seal", table, "--schema", schema, "--name", name)
        pushed = h.north.cli("dataset", "push", name)
        equal(pushed.code, code, repr(pushed))
        if code != 0:
            check("dataset.rows" in pushed.err and "north-rows" in pushed.err and "budget set" in pushed.err, pushed.err)
    equal(h.north.must_json("budget", "list"), before, "budgets")
    equal(sorted({one["name"] for one in h.north.must_json("key", "list")["keys"]}), ["north-rows", "other"], "keys")


if __name__ == "__main__":
    raise SystemExit(main(Hostile, Hostile.close))
