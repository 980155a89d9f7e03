#!/usr/bin/env python3
"""SIGKILLs at random points of runs, over every process there is: operator, witness, each key service, the runtime, the program's process inside it, the client.

After each round everything is started again, commands that died are repeated, every run must come to an end that its starter can understand, and readers
that share no code with the product (owner_ledger.py, operator_files.py) must find every promise kept. What is killed and at which part of a round is
drawn from the seed: the same seed gives the same plan.

Usage: kill_campaign.py BUILD [KILLS] [SEED]
"""
import collections
import os
import random
import re
import subprocess
import sys
import time
from fractions import Fraction

from operator_files import OperatorFiles, Receipt
from owner_ledger import Ledger
from plain_formats import leaf_hash, tree_root
from scenario import check, equal
from world import World, bare_environment, kill_process, program, rows_text, run, until

PRICE = Fraction(1, 100)
LEASE = 20
CLIENT_KILL = 0.25  # how many of the client's commands are killed once
DAEMONS = ("operator", "witness", "kms-0", "kms-1")
INSIDE = ("runtime", "program")


def is_temporary(name):
    """As the product names files that are not complete yet."""
    return re.search(r"\.(tmp-)?[A-Za-z0-9]{6}$", name) is not None


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    if int(stat.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.append(int(entry))
            except (OSError, IndexError):
                continue
    return found


class Campaign:
    def __init__(self, seed, lease=LEASE):
        self.random = random.Random(seed)
        self.seed, self.lease = seed, lease
        self.world = World(owners=("north", "south"), row_count=600, lease=lease, reattest=5, price=str(PRICE), limit="1000", steps=300, count=100000)
        self.daemons = dict(zip(DAEMONS, [self.world.operator, self.world.witness] + [owner.kms for owner in self.world.owners]))
        self.killed, self.texts, self.ends = collections.Counter(), collections.Counter(), collections.Counter()
        self.runs, self.unsettled, self.known = {}, [], None  # run id -> end state; those of this round; the last look
        self.orphans, self.rounds, self.serial = set(), 0, 0
        self.span = 1.5  # seconds that a round takes while nothing is killed; follows the machine
        self.halves = self.unreceipted = 0

    def close(self):
        self.world.close()

    def kills(self):
        return sum(self.killed.values())

    # ---- killing ----

    def _pids(self, target):
        """Process ids of a target inside the operator's daemon."""
        runtimes = children(self.world.operator.pid) if self.world.operator.alive() else []
        return runtimes if target == "runtime" else [pid for one in runtimes for pid in children(one)]

    def _strike(self, target):
        """Whether there was somebody to kill."""
        if target in INSIDE:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                found = self._pids(target)
                if found:
                    kill_process(self.random.choice(sorted(found)))
                    return True
                time.sleep(0.003)
            return False
        daemon = self.daemons[target]
        if not daemon.alive():
            return False
        if target == "operator":
            for one in children(daemon.pid):
                self.orphans.update([one] + children(one))
        daemon.kill()
        return True

    def _plan(self):
        """(when in seconds, what, who), in order: kills, and a start for each killed daemon."""
        steps = []
        for _ in range(self.random.randint(3, 7)):
            when, target = self.random.random() * self.span, self.random.choice(DAEMONS + INSIDE * 4)
            if target in INSIDE:
                when *= 0.7  # they live for a part of the round only
            steps.append((when, "kill", target))
            if target in DAEMONS:
                steps.append((when + self.random.choice((0, 0, 0.05, 0.2)), "start", target))
        return sorted(steps)

    def _carry_out(self, steps):
        began = time.monotonic()
        for when, what, target in steps:
            time.sleep(max(0, began + when - time.monotonic()))
            if what == "start":
                if not self.daemons[target].alive():
                    self.daemons[target].start(20)
            elif self._strike(target):
                self.killed[target] += 1

    # ---- what the client does; each command may be killed once, and is then repeated ----

    def _command(self, party, *words, tries=20):
        command = [program("cloister"), "--home", party.home] + list(words)
        if self.random.random() < CLIENT_KILL:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=bare_environment())
            time.sleep(self.random.random() * 0.06)
            if child.poll() is None:
                child.kill()
                self.killed["client"] += 1
            child.wait()
        for attempt in range(tries):
            done = run(command, seconds=40)
            if done.code != 3:  # 3: a service could not be reached
                return done
            self.world.start_all()
            time.sleep(0.1)
        return done

    def _start_run(self, name):
        """A request is made once and sent until it is acknowledged; its file is there whole or not at all."""
        self.serial += 1
        w, kept = self.world, self.world.path(f"{self.serial}.request")
        if self.random.random() < CLIENT_KILL:
            child = subprocess.Popen([program("cloister"), "--home", w.analyst.home, "run", "start", w.agreement, name, "--request-out", kept],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=bare_environment())
            time.sleep(self.random.random() * 0.08)
            if child.poll() is None:
                child.kill()
                self.killed["client"] += 1
            child.wait()
        for _ in range(40):
            how = "--request" if os.path.exists(kept) else "--request-out"
            done = run([program("cloister"), "--home", w.analyst.home, "--json", "run", "start", w.agreement, name, how, kept], seconds=40)
            if done.code == 0:
                return done.json()["id"]
            check(done.code == 3, f"a request after a kill: {done!r}")
            w.start_all()
            time.sleep(0.1)
        raise AssertionError(f"no run could be started: {done!r}")

    def _reseal(self):
        """An owner seals and pushes another version; every kill in it leaves what a repeat completes."""
        owner = self.random.choice(self.world.owners)
        csv = self.world.write(owner.name + ".csv", rows_text(self.random.randint(1, 1 << 30), 600))
        for words in (("dataset", "seal", csv, "--schema", self.world.path("schema.json"), "--name", owner.dataset), ("dataset", "push", owner.dataset)):
            done = self._command(owner, *words)
            equal(done.code, 0, repr(done))

    # ---- one round ----

    def round(self):
        self.rounds += 1
        began, w = time.monotonic(), self.world
        if self.random.random() < 0.15:
            self._reseal()
        ids = [self._start_run(self.random.choice(("means", "model"))) for _ in range(self.random.randint(1, 3))]
        self._carry_out(self._plan())
        for daemon in w.daemons:
            if not daemon.alive():
                daemon.start(20)
        for run_id in ids:
            self._judge(run_id, w.end_of(run_id, 90))
        self._look()
        for pid in list(self.orphans):
            until(lambda pid=pid: not self._is_ours(pid), 10, f"process {pid}, whose operator was killed, ends")
            self.orphans.discard(pid)
        self.span = min(4, max(0.8, 0.8 * self.span + 0.2 * (time.monotonic() - began) * 0.7))

    @staticmethod
    def _is_ours(pid):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                text = stat.read()
            return "enclave" in text.split("(", 1)[1].rsplit(")", 1)[0] and text.rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def _kinds(self, run_id):
        found = []
        for owner in self.world.owners:
            ledger = Ledger(owner.kms_home)
            found.append(ledger.state_of(bytes.fromhex(run_id)))
            check(found[-1] in ([], [1], [1, 2], [1, 3]), f"{owner.name}: rows {found[-1]}")
        return found

    def _judge(self, run_id, view):
        """The run's end must be what the owners' ledgers say, and its starter must be able to act on it."""
        w, kinds = self.world, self._kinds(run_id)
        committed = sum(one == [1, 2] for one in kinds)
        shown = self._command(w.analyst, "run", "show", run_id)
        equal(shown.code, 0, repr(shown))
        opened = self._command(w.analyst, "output", "open", run_id)
        self.runs[run_id] = view["state"]
        self.ends[view["state"]] += 1
        if view["state"] == "done":
            equal(committed, len(w.owners), f"run {run_id} is done, but the ledgers say {kinds}")
            equal(opened.code, 0, repr(opened))
            file = w.path("one.receipt")
            for words in (("receipt", "fetch", run_id, "--out", file), ("receipt", "verify", file)):
                done = self._command(w.analyst, *words)
                equal(done.code, 0, repr(done))
            with open(file, "rb") as kept:
                check(Receipt(kept.read()).signature_good(), "the receipt's signature, by our own means")
            return
        equal(view["state"], "failed", f"state of {run_id}: {view}")
        self.texts[view["text"]] += 1
        check("nothing was released" in view["text"] or "can open" in view["text"] or "start" in view["text"], f"what is the starter to do? {view}")
        equal(view["released"], committed == len(w.owners), f"{kinds}, {view}")
        equal(opened.code == 0, committed == len(w.owners), f"{kinds}: {opened!r}")
        self.halves += 0 < committed < len(w.owners)
        self.unreceipted += committed == len(w.owners)

    # ---- the independent readers ----

    def _look(self):
        w = self.world
        files = OperatorFiles(w.operator_home, w.witness_home, w.operator_info["log"]["vkey"])
        ledgers = [Ledger(owner.kms_home) for owner in w.owners]
        equal(files.objections(), [], "the operator's files")
        for run_id, state in self.runs.items():
            check(run_id in files.runs, f"run {run_id} was acknowledged and is lost")
            equal(files.runs[run_id]["state"], state, f"the end of run {run_id}")
            runtimes = {ledger.releases[bytes.fromhex(run_id)][1] for ledger in ledgers if bytes.fromhex(run_id) in ledger.releases}
            check(len(runtimes) <= 1, f"run {run_id} was released to {len(runtimes)} runtimes")
        for owner, ledger in zip(w.owners, ledgers):
            equal(ledger.objections(), [], f"ledger of {owner.name}")
            committed = sum(ledger.state_of(bytes.fromhex(one)) == [1, 2] for one in self.runs)
            equal(sum(ledger.spent().values()), PRICE * committed, f"spent at {owner.name}")
            equal(len(ledger.commits), committed, f"commits at {owner.name}")
        for size, root in files.ledgers_seen:
            check(any(size <= len(one.rows) and tree_root([leaf_hash(row[8]) for row in one.rows[:size]]) == root for one in ledgers),
                  f"the witness saw a ledger of {size} entries that no owner has")
        if self.known is not None:
            self._nothing_lost(files, ledgers)
        self.known = files, ledgers
        self._half_written()

    def _nothing_lost(self, files, ledgers):
        before, old = self.known
        equal(files.leaves[:before.seen[0]], before.leaves[:before.seen[0]], "the log's witnessed entries")
        check(files.seen[0] >= before.seen[0] and files.witnessed >= before.witnessed, "the log or its witness went back")
        for earlier, now in zip(old, ledgers):
            equal(now.rows[:len(earlier.rows)], earlier.rows, "the ledger's earlier rows")
            check(earlier.commits.items() <= now.commits.items(), "a commit changed or is lost")
        for run_id, run_before in before.runs.items():
            check(not run_before["receipt"] or files.runs[run_id]["receipt"] == run_before["receipt"], f"run {run_id} has another receipt than before")

    def _half_written(self):
        """Nothing incomplete under a name that is read; outputs that nobody can open are gone."""
        w, released = self.world, {run_id for run_id, run in self.known[0].runs.items() if run["commits"]}
        for folder, _, names in os.walk(w.folder):
            for name in names:
                path = os.path.join(folder, name)
                check(os.path.getsize(path) > 0 or is_temporary(name) or name in ("lock", "journal") or name.endswith((".log", "-wal", "-shm")), f"{path} is empty")
                check(not name.startswith("output-") or name[7:] in released, f"{path}: an output that was not released")

    def settle(self):
        """When the leases are over nothing is reserved."""
        for owner in self.world.owners:
            def nothing_reserved(owner=owner):
                return not any(Ledger(owner.kms_home).reserved().values())
            until(nothing_reserved, self.lease + 10, f"the reservations at {owner.name} end", 0.3)
            equal(Ledger(owner.kms_home).objections(), [], f"ledger of {owner.name}")
            equal(run([program("cloister-kms"), "check", "--home", owner.kms_home]).code, 0, "the service's own check")
        self._look()
        equal(self.halves, 0, "runs with a commit at one owner only")
        equal(self.unreceipted, 0, "runs that were released and have no receipt")

    def report(self):
        print(f"# seed {self.seed}: {self.kills()} kills ({', '.join(f'{who} {n}' for who, n in sorted(self.killed.items()))}) in {self.rounds} rounds; "
              f"{len(self.runs)} runs: {dict(self.ends)}; commits at one owner only: {self.halves}; released without receipt: {self.unreceipted}", flush=True)


def main():
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    campaign, began, told = Campaign(int(sys.argv[3]) if len(sys.argv) > 3 else 1), time.monotonic(), 0
    try:
        while campaign.kills() < wanted:
            campaign.round()
            if campaign.rounds >= told + 10:
                told = campaign.rounds
                campaign.report()
        campaign.settle()
    except BaseException:
        os.environ["KEEP_WORLD"] = "1"
        raise
    finally:
        campaign.report()
        for text, count in campaign.texts.most_common():
            print(f"#   {count:4d}  {text}")
        print(f"# {time.monotonic() - began:.0f} s", flush=True)
        campaign.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
