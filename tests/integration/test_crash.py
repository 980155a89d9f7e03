"""kill -9 of each daemon at each phase of a run, then restart: every run ends in a clear state, every ledger stays true by an independent reader, nothing is
released twice, and no budget is lost or spent twice once the leases are over."""
import http.client
import os
import shutil
import sqlite3
import time
from fractions import Fraction

from owner_ledger import Ledger
from scenario import check, equal, main, scenario
from world import World, address, kill_process, program, run, tls, until

PRICE = Fraction(1, 20)
LEASE = 10
PHASES = ["queued", "starting", "attesting", "releasing", "reading", "computing", "committing", "done", "failed", "cancelled"]


class Crashes:
    def __init__(self):
        self.world = World(owners=("north", "south"), row_count=5000, lease=LEASE, reattest=3, price=str(PRICE), limit="4", steps=1000)
        self.runs, self.halves = [], 0
        self.token_until = 0

    def close(self):
        self.world.close()

    def token(self):
        if time.monotonic() > self.token_until:
            self.kept = self.world.analyst.identity().token(self.world.operator_info["audience"])
            self.token_until = time.monotonic() + 100
        return self.kept

    def start(self, name="model"):
        run_id = self.world.start_run(name)
        self.runs.append(run_id)
        return run_id

    def reach(self, run_id, phase):
        """Ask over one connection, as fast as it goes, until the run is in this phase or beyond; the state seen."""
        connection = http.client.HTTPSConnection(*address(self.world.operator_info["url"]), context=tls(), timeout=5)
        try:
            end = time.monotonic() + 15
            while time.monotonic() < end:
                connection.request("GET", "/api/v1/runs/" + run_id, headers={"Authorization": "Bearer " + self.token()})
                body = connection.getresponse().read()
                state = body.partition(b'"state":"')[2].partition(b'"')[0].decode()
                if PHASES.index(state) >= PHASES.index(phase):
                    return state
            raise AssertionError(f"run {run_id} never came to {phase}")
        finally:
            connection.close()

    def judge(self, run_id):
        """The run's end must fit what the owners' ledgers say."""
        w = self.world
        view = w.end_of(run_id, 60)
        kinds = []
        for owner in w.owners:
            ledger = Ledger(owner.kms_home)
            equal(ledger.objections(), [], f"ledger of {owner.name}")
            kinds.append(ledger.state_of(bytes.fromhex(run_id)))
            check(kinds[-1] in ([], [1], [1, 2], [1, 3]), f"{owner.name}: rows {kinds[-1]}")
        committed = sum(one == [1, 2] for one in kinds)
        opened = w.analyst.cli("output", "open", run_id)
        if view["state"] == "done":
            equal(committed, len(w.owners), f"a run is done, but the ledgers say {kinds}")
            equal(opened.code, 0, repr(opened))
            file = w.path("one.receipt")
            w.analyst.must("receipt", "fetch", run_id, "--out", file)
            w.analyst.must("receipt", "verify", file)
        else:
            equal(view["state"], "failed", "state")
            check(view["text"], "a failed run says why")
            equal(view["released"], committed == len(w.owners), f"{kinds}, {view}")
            equal(opened.code == 0, committed == len(w.owners), f"{kinds}: {opened!r}")
            self.halves += 0 < committed < len(w.owners)
        return view["state"], kinds

    def works(self):
        """A new run does all of it."""
        run_id = self.start("means")
        equal(self.judge(run_id)[0], "done", "the next run")

    def settle(self):
        """Once the leases are over nothing is reserved, and exactly the committed runs are spent."""
        w = self.world
        for owner in w.owners:
            def settled():
                return not any(Ledger(owner.kms_home).reserved().values())
            until(settled, LEASE + 8, f"the reservations at {owner.name} end", 0.3)
            ledger = Ledger(owner.kms_home)
            equal(ledger.objections(), [], f"ledger of {owner.name}")
            committed = sum(2 in ledger.state_of(bytes.fromhex(one)) for one in self.runs)
            equal(sum(ledger.spent().values()), PRICE * committed, f"spent at {owner.name}")
            equal(len(ledger.commits), committed, f"stored commits at {owner.name}")
            done = run([program("cloister-kms"), "check", "--home", owner.kms_home])
            equal(done.code, 0, repr(done))


def kill_at_each_phase(crashes, daemon, phases):
    said = []
    for phase in phases:
        run_id = crashes.start()
        at = crashes.reach(run_id, phase)
        daemon.kill()
        time.sleep(0.05)
        daemon.start()
        said.append((phase, at) + crashes.judge(run_id))
    print("# " + "; ".join(f"{phase}: killed at {at}, {state} {kinds}" for phase, at, state, kinds in said))
    crashes.works()


@scenario("kill -9 of the operator's daemon at each phase", seconds=120)
def operator(crashes):
    kill_at_each_phase(crashes, crashes.world.operator, ["queued", "attesting", "releasing", "computing", "committing", "done"])


@scenario("kill -9 of one owner's key service at each phase", seconds=120)
def key_service(crashes):
    kill_at_each_phase(crashes, crashes.world.owners[1].kms, ["queued", "attesting", "releasing", "computing", "committing"])
    kill_at_each_phase(crashes, crashes.world.owners[0].kms, ["releasing", "committing"])


@scenario("kill -9 of the witness at each phase", seconds=120)
def witness(crashes):
    kill_at_each_phase(crashes, crashes.world.witness, ["queued", "computing", "committing"])


@scenario("kill -9 of the runtime at each phase", seconds=120)
def runtime(crashes):
    said = []
    for phase in ("starting", "attesting", "releasing", "computing", "committing"):
        run_id = crashes.start()
        at = crashes.reach(run_id, phase)
        found = until(lambda: crashes.world.children_of(crashes.world.operator) or crashes.reach(run_id, "queued") in PHASES[7:], 5, "a runtime", 0.002)
        for pid in found if isinstance(found, list) else []:
            kill_process(pid)
        said.append((phase, at) + crashes.judge(run_id))
        if at in ("starting", "attesting", "releasing"):
            equal(said[-1][2], "failed", f"the runtime was killed at {at}")
    print("# " + "; ".join(f"{phase}: killed at {at}, {state} {kinds}" for phase, at, state, kinds in said))
    crashes.works()


@scenario("kill -9 at twelve moments between the release and the end", seconds=90)
def moments(crashes):
    w, said = crashes.world, []
    for moment in range(12):
        run_id = crashes.start("means")
        at = crashes.reach(run_id, "releasing")
        time.sleep(moment * 0.006)
        if moment % 3 == 0:
            w.operator.kill()
            w.operator.start()
        elif moment % 3 == 1:
            for pid in w.children_of(w.operator):
                kill_process(pid)
        else:
            for daemon in [owner.kms for owner in w.owners]:
                daemon.kill()
            for daemon in [owner.kms for owner in w.owners]:
                daemon.start()
        said.append(f"{moment}: {at}, {crashes.judge(run_id)}")
    print("# " + "; ".join(said))
    crashes.works()


@scenario("without a witness every owner commits and nothing leaves; the run is done once the witness is back", seconds=60)
def no_witness(crashes):
    w = crashes.world
    w.witness.kill()
    run_id = crashes.start("means")
    until(lambda: all(Ledger(owner.kms_home).state_of(bytes.fromhex(run_id)) == [1, 2] for owner in w.owners), 20, "both owners commit")
    view = until(lambda: (lambda v: v if v and v["state"] == "committing" else None)(w.view(run_id)), 10, "the operator waits")
    check(not view["released"] and w.analyst.cli("output", "open", run_id).code != 0 and w.analyst.cli("receipt", "fetch", run_id).code != 0,
          f"something left before the witness had seen the spend: {view}")
    w.operator.kill()
    w.operator.start()
    time.sleep(LEASE)  # the leases are over; what is committed is committed
    w.witness.start()
    equal(crashes.judge(run_id)[0], "done", "with the witness")


@scenario("a power cut under four runs at once", seconds=90)
def power_cut(crashes):
    w = crashes.world
    four = [crashes.start() for _ in range(4)]
    crashes.reach(four[0], "computing")
    for daemon in w.daemons:
        daemon.kill()
    for daemon in w.daemons:
        daemon.start()
    for run_id in four:
        crashes.judge(run_id)
    crashes.works()


@scenario("the same request after a crash is the same run: no key a second time", seconds=60)
def same_request(crashes):
    w = crashes.world
    kept = w.path("crash.request")
    run_id = w.analyst.must_json("run", "start", w.agreement, "model", "--request-out", kept)["id"]
    crashes.runs.append(run_id)
    crashes.reach(run_id, "computing")
    for pid in w.children_of(w.operator):
        kill_process(pid)
    state, _ = crashes.judge(run_id)
    before = [Ledger(owner.kms_home).releases[bytes.fromhex(run_id)][:2] for owner in w.owners]
    for _ in range(2):
        again = w.analyst.must_json("run", "start", w.agreement, "model", "--request", kept)
        equal((again["id"], again["state"]), (run_id, state), "the same request")
        time.sleep(0.3)
    equal([Ledger(owner.kms_home).releases[bytes.fromhex(run_id)][:2] for owner in w.owners], before, "releases of the run")


@scenario("when the leases are over, exactly what was committed is spent", seconds=60)
def settled(crashes):
    crashes.settle()
    print(f"# {len(crashes.runs)} runs")
    equal(crashes.halves, 0, "runs with a commit at one owner only: a budget spent for an output that nobody can open")


@scenario("a service whose ledger was altered does not serve, and says why", seconds=30)
def altered_ledger(crashes):
    w = crashes.world
    south = w.owners[1]
    south.kms.stop()
    kept = w.path("kept.db")
    shutil.copy(os.path.join(south.kms_home, "kms.db"), kept)
    for name, change in (("an amount", "UPDATE ledger SET rho = '1/2000' WHERE seq = (SELECT max(seq) FROM ledger WHERE kind = 2)"),
                         ("a missing row", "DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)"),
                         ("a balance", "UPDATE balances SET spent = '0'"),
                         ("a missing commit", "DELETE FROM commits")):
        with sqlite3.connect(os.path.join(south.kms_home, "kms.db")) as base:
            for (trigger,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                base.execute(f"DROP TRIGGER {trigger}")
            base.execute(change)
        base.close()
        check(Ledger(south.kms_home).objections(), f"{name}: the independent reader sees nothing")
        done = run([program("cloister-kms"), "--home", south.kms_home], seconds=10)
        check(done.code in (1, 3) and "ledger" in done.err.splitlines()[-1], f"{name}: {done!r}")
        equal(run([program("cloister-kms"), "check", "--home", south.kms_home]).code, 1, f"{name}: check")
        shutil.copy(kept, os.path.join(south.kms_home, "kms.db"))
    south.kms.start()
    crashes.works()


@scenario("a log that lost an acknowledged entry does not open; a torn tail does", seconds=30)
def torn_log(crashes):
    w = crashes.world
    w.operator.stop()
    journal = os.path.join(w.operator_home, "log", "journal")
    with open(journal, "rb") as file:
        good = file.read()
    with open(journal, "wb") as file:
        file.write(good[:-10])
    done = run([program("cloisterd"), "--home", w.operator_home], seconds=10)
    check(done.code in (1, 3) and done.err.strip(), repr(done))
    with open(journal, "wb") as file:
        file.write(good + b"\0\0\0\x40torn")
    w.operator.start()
    crashes.works()


@scenario("two daemons never share a home", seconds=20)
def locked(crashes):
    w = crashes.world
    for command in ([program("cloister-kms"), "--home", w.owners[0].kms_home], [program("cloisterd"), "--home", w.operator_home],
                    [program("cloisterd"), "--role", "witness", "--home", w.witness_home]):
        done = run(command, seconds=10)
        check(done.code != 0 and len(done.err.strip().splitlines()) >= 1, repr(done))
        equal(done.out, "", "it served")


if __name__ == "__main__":
    raise SystemExit(main(Crashes, Crashes.close))
