"""The main job by hand, on a user's own table: agreement, sealing, both kinds of run, outputs, budget, receipts offline, refusals explained, and the README's
own commands as they stand there."""
import csv
import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from fractions import Fraction

from owner_ledger import Ledger
from scenario import check, equal, main, scenario
from world import ROOT, World, build_folder, program, rows_text, run, until

PRICE = Fraction(1, 4)


class Job:
    def __init__(self):
        self.world = World(owners=("north", "south"), row_count=400, price=str(PRICE), limit="4", steps=30)
        self.rows = [row for index in (1, 2) for row in csv.DictReader(io.StringIO(rows_text(index, 400)))]
        self.runs = {}

    def done(self, name):
        """A run of this name that is done, started when first asked for."""
        if name not in self.runs:
            w = self.world
            view = w.analyst.must_json("run", "start", w.agreement, name, "--watch", seconds=60)
            equal(view["state"], "done", "state")
            self.runs[name] = view
        return self.runs[name]

    def budgets(self):
        found = {}
        for owner in self.world.owners:
            for one in owner.must_json("budget", "list")["budgets"]:
                found[one["name"]] = one
        return found

    def close(self):
        self.world.close()


@scenario("an aggregate over two owners' rows is near the truth, and as noisy as it says")
def aggregate(job):
    view = job.done("means")
    equal((view["tee"], view["simulated"]), ("sim", True), "the run says what it rests on")
    opened = job.world.analyst.must_json("output", "open", view["id"])
    content = opened["content"]
    equal(content["columns"], ["outcome", "n", "age"], "columns")
    noise = {one["column"]: one["sigma"] for one in content["noise"]}
    for outcome, count, age in content["rows"]:
        truth = [float(row["age"]) for row in job.rows if row["outcome"] == outcome]
        check(abs(count - len(truth)) < 8 * noise["count(*)"] + 1, f"{outcome}: {count} of {len(truth)}")
        spread = 8 * (noise["sum(age)"] + 120 * noise["count(*)"]) / len(truth)
        check(abs(age - sum(truth) / len(truth)) < spread + 1, f"{outcome}: {age}, not {sum(truth) / len(truth)}")
    equal(sorted(row[0] for row in content["rows"]), ["no", "yes"], "groups")
    equal(Fraction(content["rho"]), PRICE, "price")
    check(os.path.exists(opened["file"]) and os.stat(opened["file"]).st_mode & 0o077 == 0, "the output is its recipient's alone")
    table = job.world.analyst.must("output", "open", view["id"], "--format", "csv", "--out", job.world.path("means.csv"))
    with open(job.world.path("means.csv")) as file:
        equal(len(list(csv.reader(file))), 3, repr(table))


@scenario("a private model is trained on rows that nobody showed, and predicts")
def training(job):
    view = job.done("model")
    w = job.world
    opened = w.analyst.must_json("output", "open", view["id"], "--out", w.path("trained.model"))
    equal((opened["kind"], opened["content"]["private"], opened["content"]["rows"]), ("model", True, 800), "model")
    w.write("test.csv", rows_text(9, 500))
    figures = w.analyst.must_json("model", "evaluate", "--model", w.path("trained.model"), "--data", w.path("test.csv"), "--schema", w.path("schema.json"))
    check(figures["accuracy"] > 0.7, f"accuracy {figures}")


@scenario("each run costs every owner its price, once, and epsilon left falls")
def budget(job):
    for name in ("means", "model"):
        job.done(name)
    before = job.budgets()
    view = job.world.analyst.must_json("run", "start", job.world.agreement, "means", "--watch")
    after = job.budgets()
    for name, one in after.items():
        equal(Fraction(one["spent"]) - Fraction(before[name]["spent"]), PRICE, f"{name} spent")
        equal(Fraction(one["left"]), Fraction(one["limit"]) - Fraction(one["spent"]), f"{name} left")
        equal(one["reserved"], "0", f"{name} reserved")
        check(one["epsilon_left"] < before[name]["epsilon_left"], f"{name}: epsilon left does not fall")
    run_id = bytes.fromhex(view["id"])
    for owner in job.world.owners:
        ledger = Ledger(owner.kms_home)
        equal(ledger.objections(), [], f"ledger of {owner.name}")
        equal(ledger.state_of(run_id), [1, 2], f"rows of the run at {owner.name}")
        check(owner.must_json("audit", "ledger", os.path.join(owner.kms_home, "kms.db")), "the product's own check")


@scenario("a run beyond the budget is refused by the owner, and explained")
def over_budget(job):
    job.done("means")
    w = job.world
    south = w.owners[1]
    spent = Fraction(job.budgets()["south-rows"]["spent"])
    south.must("budget", "set", "south-rows", str(spent + PRICE / 2))
    refused = w.analyst.cli("--json", "run", "start", w.agreement, "means", "--watch")
    equal(refused.code, 1, repr(refused))
    view = refused.json()
    equal(view["state"], "failed", "state")
    denial = view["denial"]
    equal((denial["claim"], denial["owner"]), ("budget.rho", "south"), "who and why")
    for name in ("expected", "actual", "source", "remedy"):
        check(denial[name], f"{name} is empty")
    reason = w.analyst.must_json("explain", view["id"])
    equal({k: reason[k] for k in ("claim", "expected", "actual", "source", "remedy")}, {k: denial[k] for k in ("claim", "expected", "actual", "source", "remedy")}, "explain")
    said = w.analyst.must("explain", view["id"]).out
    for part in ("budget.rho", denial["expected"], denial["actual"], denial["remedy"]):
        check(part in said, f"{part!r} is not in {said!r}")
    # North reserved before south refused: its lease ends that, nothing is spent.
    south.must("budget", "set", "south-rows", "4")
    for owner in w.owners:
        equal(Ledger(owner.kms_home).objections(), [], owner.name)
        check(Ledger(owner.kms_home).state_of(bytes.fromhex(view["id"])) in ([], [1], [1, 3]), "a refused run was committed")


@scenario("who is no starter, no owner, no party is refused with the claim")
def wrong_people(job):
    w = job.world
    north = w.owners[0]
    refused = north.cli("run", "start", w.agreement, "means")
    equal(refused.code, 1, repr(refused))
    check("starter" in refused.err, refused.err)
    refused = north.cli("output", "open", job.done("means")["id"])
    check(refused.code in (1, 3), repr(refused))
    with open(w.path("theirs.csv"), "w") as file:
        file.write(rows_text(3, 50))
    north.must("dataset", "seal", w.path("theirs.csv"), "--schema", w.path("schema.json"), "--name", "south-rows")
    # The same name, but north's own dataset: it stands in no agreement.
    north.must("dataset", "push", "south-rows")
    listed = {(one["owner"], one["name"]) for one in north.must_json("dataset", "list")["datasets"]}
    check(("north", "south-rows") in listed and ("south", "south-rows") not in listed, f"{listed}")


@scenario("any one party stops the agreement; it takes all to go on")
def stop_and_resume(job):
    w = job.world
    w.owners[1].must("agreement", "stop", w.agreement)
    refused = w.analyst.cli("--json", "run", "start", w.agreement, "means", "--watch")
    equal(refused.code, 1, repr(refused))
    check("agreement" in refused.out and "suspended" in refused.out + refused.err, repr(refused))
    for party in [w.analyst] + w.owners:
        party.must("agreement", "resume", w.agreement)
    equal(w.analyst.must_json("agreement", "status", w.agreement)["state"], "active", "state")
    equal(w.analyst.must_json("run", "start", w.agreement, "means", "--watch")["state"], "done", "the run after resuming")


@scenario("a disabled key opens nothing until it is enabled again")
def disabled_key(job):
    w = job.world
    north = w.owners[0]
    key = [one for one in north.must_json("key", "list")["keys"] if one["name"] == "north-rows"][0]["id"]
    north.must("key", "disable", key)
    refused = w.analyst.cli("--json", "run", "start", w.agreement, "means", "--watch")
    equal(refused.code, 1, repr(refused))
    check(refused.json()["denial"]["claim"].startswith("key."), repr(refused))
    north.must("key", "enable", key)
    north.must("key", "rotate")
    equal(w.analyst.must_json("run", "start", w.agreement, "means", "--watch")["state"], "done", "after enabling and rotating")


@scenario("a run is cancelled by its starter, and costs nothing in the end")
def cancel(job):
    w = job.world
    os.kill(w.owners[1].kms.pid, signal.SIGSTOP)
    try:
        run_id = w.start_run("means")
        until(lambda: (w.view(run_id) or {}).get("state") not in (None, "queued"), 10, "the run starts")
        w.analyst.must("run", "cancel", run_id, seconds=20)
    finally:
        os.kill(w.owners[1].kms.pid, signal.SIGCONT)
    equal(w.end_of(run_id)["state"], "cancelled", "state")
    for owner in w.owners:
        check(2 not in Ledger(owner.kms_home).state_of(bytes.fromhex(run_id)), "a cancelled run was committed")


@scenario("receipts verify offline with every daemon stopped, and no altered one does", seconds=90)
def receipts(job):
    w = job.world
    files = []
    for name in ("means", "model"):
        files.append(w.path(name + ".receipt"))
        w.analyst.must("receipt", "fetch", job.done(name)["id"], "--out", files[-1])
    w.stop_all()
    try:
        for file in files:
            verdict = w.analyst.must_json("receipt", "verify", file)
            equal((verdict["verdict"], verdict["simulated"]), ("valid", True), file)
            check(all(one["ok"] for one in verdict["checks"]), "a check that does not hold")
            check("imulat" in w.analyst.must("receipt", "verify", file).out, "the simulated TEE is not named")
        strangers = os.path.join(w.folder, "auditor")
        done = run([program("cloister"), "--home", strangers, "receipt", "verify", files[0], "--roots", os.path.join(w.analyst.home, "roots")])
        equal(done.code, 0, f"an auditor with the roots alone: {done!r}")
        with open(files[0], "rb") as file:
            good = file.read()
        step = max(1, len(good) // 60)
        for at in range(0, len(good), step):
            bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]
            done = w.analyst.cli("receipt", "verify", w.write("bad.receipt", bad))
            check(done.code in (1, 2), f"bit flipped at {at}: {done!r}")
        # Another log, another TEE root: well-formed, but not what this reader trusts.
        other = World(owners=("east",), agree=False)
        try:
            roots = os.path.join(other.analyst.home, "roots")
            done = w.analyst.cli("receipt", "verify", files[0], "--roots", roots)
            equal(done.code, 1, f"roots of another world: {done!r}")
        finally:
            other.close()
    finally:
        w.start_all()


@scenario("after a restart of everything the next run works, and old outputs still open")
def restart(job):
    w = job.world
    equal(w.analyst.must_json("run", "start", w.agreement, "means", "--watch")["state"], "done", "a run after the restart")
    w.analyst.must("output", "open", job.done("model")["id"])
    began = time.monotonic()
    equal(w.analyst.must_json("run", "watch", job.done("model")["id"])["state"], "done", "watching what is over")
    check(time.monotonic() - began < 5, "watching a run that is over waits for events")


@scenario("an amendment is a new epoch: the old one starts nothing any more, and the budget goes on")
def amendment(job):
    w = job.world
    old, spent = w.agreement, job.budgets()
    text = w.template_text(title="means and models, cheaper", price="1/8").replace("title:", f'epoch: 2\nprev: "{old}"\nlineage: "{old}"\ntitle:')
    template, file = w.write("second.yaml", text), w.path("second.agreement")
    w.analyst.must("agreement", "new", template, "--out", file)
    changes = w.analyst.must_json("agreement", "diff", w.path("world.agreement"), file)["changes"]
    check(any("price" in one["path"] for one in changes), f"{changes}")
    for party in [w.analyst] + w.owners:
        party.must("agreement", "sign", file)
    for party in [w.analyst] + w.owners:
        new = party.must_json("agreement", "submit", file)["id"]
    refused = w.analyst.cli("run", "start", old, "means", "--watch")
    equal(refused.code, 1, repr(refused))
    equal(w.analyst.must_json("run", "start", new, "means", "--watch")["state"], "done", "a run of the new epoch")
    for name, one in job.budgets().items():
        equal(Fraction(one["spent"]), Fraction(spent[name]["spent"]) + Fraction(1, 8), f"{name} spent")


def readme_commands():
    """The indented lines of the section "By hand", in order."""
    with open(os.path.join(ROOT, "README.md")) as file:
        section = file.read().partition("## By hand")[2].partition("\n## ")[0]
    return re.findall(r"^    (.*)$", section, re.M)


@scenario("the README's commands work as they stand there", seconds=120)
def readme(_job):
    folder = tempfile.mkdtemp(prefix="cloister-readme-")
    lines = ["set -eu", 'trap \'for p in $(jobs -p); do kill "$p" || true; done; wait\' EXIT']
    for line in readme_commands():
        line = line.replace("$PWD/build", build_folder()).replace("~/study", folder + "/study").replace("examples/", ROOT + "/examples/")
        if "run start" in line:
            line += ' | tee run.txt; RUN=$(grep -oE "[0-9a-f]{32}" run.txt | head -1)'
        lines.append(re.sub(r"\bRUN\b(?!=)", "$RUN", line) if "RUN=" not in line else line)
        if line.rstrip().endswith("&"):
            lines.append("sleep 0.7")
    try:
        child = subprocess.Popen(["bash", "-c", "\n".join(lines)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env={"PATH": os.environ["PATH"], "HOME": folder}, start_new_session=True)
        try:
            out = child.communicate(timeout=100)[0].decode()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        equal(child.returncode, 0, out[-3000:])
        check("VALID" in out and "mean_stay" in out, out[-3000:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main(Job, Job.close))
