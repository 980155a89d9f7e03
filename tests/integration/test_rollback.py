"""T4, a key service whose disk was set back: real homes are copied, spent from and put back. Each time the service must say what it found and give out
nothing, however the copy was made, until the newest one is there again."""
import base64
import hashlib
import os
import shutil
import sqlite3
from fractions import Fraction

from owner_ledger import COMMIT, Ledger
from plain_formats import leaf_hash, tree_root
from scenario import check, equal, main, scenario
from world import World, http_ask, program, until

NAME = "T04_rollback_of_a_key_services_disk: "


class Rollback:
    def __init__(self):
        self.world = World(owners=("north", "south"), row_count=300, lease=30, reattest=10, price="1/100", limit="1")
        self.kms = self.world.owners[0]

    def close(self):
        self.world.close()

    def run(self, wanted="done"):
        view = self.world.end_of(self.world.start_run("means"))
        equal(view["state"], wanted, repr(view))
        return view

    def copy(self, name):
        """The service's home as it is now, taken while it stands still."""
        self.kms.kms.stop()
        shutil.copytree(self.kms.kms_home, self.world.path(name))
        self.kms.kms.start()

    def put_back(self, name, files=None):
        """Stop, let the disk be as it was, start."""
        home = self.kms.kms_home
        self.kms.kms.stop()
        if not os.path.exists(self.world.path("newest")):
            shutil.copytree(home, self.world.path("newest"))
        if files is None:
            shutil.rmtree(home)
            shutil.copytree(self.world.path(name), home)
        else:
            for one in files:
                shutil.copy(self.world.path(name, one), os.path.join(home, one))
        self.kms.kms.start()

    def mend(self):
        """The newest copy again; everything works."""
        self.kms.kms.stop()
        shutil.rmtree(self.kms.kms_home)
        shutil.move(self.world.path("newest"), self.kms.kms_home)
        self.kms.kms.start()
        self.run()
        equal(self.ledger()["state"], "witnessed", "after the newest copy is back")

    def ledger(self):
        return http_ask(self.kms.info["url"], "GET", "/v1/info").json()["ledger"]

    def refused(self, found):
        """Everything that says so."""
        equal(self.ledger()["state"], "rolled back", "state")
        view = self.run("failed")
        denial = view["denial"]
        equal((denial["claim"], denial["owner"]), ("ledger.rollback", "north"), repr(view))
        check(found in denial["actual"] and "cosigned" in denial["expected"] and "restore" in denial["remedy"], repr(denial))
        equal(self.world.analyst.must_json("explain", view["id"])["claim"], "ledger.rollback", "explain")
        ready = http_ask(self.kms.info["url"], "GET", "/readyz")
        equal(ready.status, 503, repr(ready))
        said = self.kms.must("status").out
        check("rolled back" in said and "restore" in said, said)
        check('"ledger-rollback"' in self.kms.kms.tail(), self.kms.kms.tail())
        return denial

    def spent(self):
        return sum(Ledger(self.kms.kms_home).spent().values())


@scenario(NAME + "the whole home, one run ago", seconds=60)
def whole_home(r):
    r.run()
    r.copy("before")
    r.run()
    spent = r.spent()
    r.put_back("before")
    check(r.spent() < spent, "the older copy has more budget left: that is the attack")
    denial = r.refused("entries")
    check(denial["source"] == r.world.witness_info["url"], repr(denial))
    r.kms.kms.stop()
    r.kms.kms.start()
    r.refused("entries")
    r.mend()


@scenario(NAME + "the database alone", seconds=60)
def database_alone(r):
    r.put_back("before", ["kms.db"])
    r.refused("entries")
    r.mend()


@scenario(NAME + "a ledger rewritten with true hashes and sums", seconds=60)
def rewritten(r):
    r.kms.kms.stop()
    shutil.copytree(r.kms.kms_home, r.world.path("newest"))
    with sqlite3.connect(os.path.join(r.kms.kms_home, "kms.db")) as base:
        rewrite(base)
    base.close()
    equal(Ledger(r.kms.kms_home).objections(), [], "nothing in the file itself shows it")
    r.kms.kms.start()
    r.refused("begin otherwise")
    r.mend()


def rewrite(base):
    """Every commit becomes an expiry: all that was spent comes back."""
    for (trigger,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        base.execute(f"DROP TRIGGER {trigger}")
    previous = bytes(32)
    for seq, dataset, run, agreement, kind, rho, when in base.execute("SELECT seq, dataset, run, agreement, kind, rho, time FROM ledger ORDER BY seq").fetchall():
        kind = 3 if kind == COMMIT else kind
        amount = Fraction(rho)
        text = (b"cloister/v1 ledger\0" + previous + seq.to_bytes(8, "big") + dataset + run + agreement + bytes([kind]) + amount.numerator.to_bytes(8, "big") +
                amount.denominator.to_bytes(8, "big") + when.to_bytes(8, "big"))
        base.execute("UPDATE ledger SET kind = ?, previous = ?, hash = ? WHERE seq = ?", (kind, previous, hashlib.sha256(text).digest(), seq))
        previous = hashlib.sha256(text).digest()
    base.execute("UPDATE meta SET bytes = ? WHERE key = 'ledger_head'", (previous,))
    base.execute("UPDATE balances SET spent = '0', runs = 0")
    base.execute("UPDATE releases SET state = 3 WHERE state = 2")
    base.execute("DELETE FROM commits")


@scenario(NAME + "a witness that is kept away does not help", seconds=60)
def kept_away(r):
    r.world.witness.stop()
    r.put_back("before")
    equal(r.ledger()["state"], "not confirmed", "state")
    view = r.run("failed")
    equal(view["denial"]["claim"], "ledger.witness", repr(view))
    check(r.spent() == sum(Ledger(r.world.path("before")).spent().values()), "something was committed")
    r.world.witness.start()
    until(lambda: r.ledger()["state"] == "rolled back", 10, "the witness is asked again")
    r.refused("entries")
    r.mend()


@scenario(NAME + "while the witness is down commits wait, and nothing is lost", seconds=60)
def witness_down(r):
    w = r.world
    w.witness.stop()
    run_id = w.start_run("means")
    until(lambda: [2 in Ledger(o.kms_home).state_of(bytes.fromhex(run_id)) for o in w.owners][0], 20, "the spend is recorded")
    shares = http_ask(r.kms.info["url"], "GET", f"/v1/runs/{run_id}/shares")
    equal((shares.status, shares.json()["claim"], shares.headers.get("retry-after")), (503, "ledger.witness", "1"), repr(shares))
    check(w.view(run_id)["state"] not in ("done", "failed"), "the run ended without its shares")
    w.witness.start()
    w.end_of(run_id)
    shares = until(lambda: (lambda a: a if a.status == 200 else None)(http_ask(r.kms.info["url"], "GET", f"/v1/runs/{run_id}/shares")), 10, "shares")
    out = w.path("late.json")
    w.analyst.must("output", "open", run_id, "--out", out)
    check(os.path.getsize(out) > 0, "the output")
    w.witness.stop()
    w.witness.start()
    r.run()


@scenario(NAME + "what the witness holds is the tree over the ledger's hashes", seconds=30)
def same_tree(r):
    def held():
        """Whether the witness has all of it."""
        rows = Ledger(r.kms.kms_home).rows
        key = r.ledger()["key"]
        for name in os.listdir(os.path.join(r.world.witness_home, "state")):
            with open(os.path.join(r.world.witness_home, "state", name)) as file:
                origin, size, root = file.read().splitlines()[:3]
            if origin == key.split("+")[0]:
                return int(size) == len(rows) and base64.b64decode(root) == tree_root([leaf_hash(row[8]) for row in rows])
        return False
    until(held, 10, "the witness's state is the ledger's tree")


@scenario("a witness that is closed knows a ledger when its operator adds it, and no stranger's log at all", seconds=30)
def closed_witness(r):
    w = r.world
    home, command = w.path("closed"), [program("cloisterd"), "--role", "witness"]
    info = w.init(command + ["init", "--home", home])
    witness = w.daemon("closed", command + ["--home", home]).start()
    kms = w.init([program("cloister-kms"), "init", "--home", w.path("spare-kms"), "--owner", r.kms.party_file, "--witness", f"{info['url']},{info['spki']},{info['vkey']}"])
    service = w.daemon("spare-kms", [program("cloister-kms"), "--home", w.path("spare-kms")]).start()

    def ledger():
        return http_ask(kms["url"], "GET", "/v1/info").json()["ledger"]

    equal((ledger()["state"], ledger()["key"]), ("not confirmed", kms["ledger"]), "before")
    check("--log" in ledger()["detail"] or "witness.open_logs" in ledger()["detail"], repr(ledger()))
    for stranger in (w.operator_info["log"]["vkey"], kms["ledger"].replace("cloister-kms/", "cloister-kms/0"), "nonsense"):
        answer = http_ask(w.witness_info["url"], "POST", "/logs", body=stranger + "\n", headers={"Content-Type": "text/plain"})
        check(answer.status in (400, 403), repr(answer))
    witness.stop()
    witness.command += ["--log", kms["ledger"]]
    witness.start()
    until(lambda: ledger()["state"] == "witnessed", 10, "the witness knows the ledger")
    service.stop()
    witness.stop()


if __name__ == "__main__":
    raise SystemExit(main(Rollback, Rollback.close))
