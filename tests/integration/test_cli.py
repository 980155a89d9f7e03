"""The command line as a whole: help on every level, exactly one JSON document, no progress bar in a pipe, quiet where asked, completion, and the commands that
need no server."""
import json
import os
import pty
import re
import subprocess

from scenario import check, equal, main, scenario
from world import Daemon, World, program, rows_text, run


class Line:
    def __init__(self):
        self.world = w = World(owners=("north",), row_count=300, price="1/4", limit="8")
        self.north, self.analyst = w.owners[0], w.analyst
        self.run_id = self.analyst.must_json("run", "start", w.agreement, "model", "--watch")["id"]
        self.quiet_start = self.analyst.must("--quiet", "run", "start", w.agreement, "means")
        self.analyst.must("receipt", "fetch", self.run_id, "--out", w.path("one.receipt"))
        self.analyst.must("output", "open", self.run_id, "--out", w.path("one.model"))

    def commands(self):
        """Every command of the help: (noun, verb or None, arguments)."""
        found = []
        for line in run([program("cloister"), "--help"]).out.splitlines():
            match = re.match(r"^  cloister (\S+)(?: (\S.*?))?(?: {2,}|$)", line)
            if match:
                words = (match.group(2) or "").split()
                verb = words[0] if words and re.fullmatch(r"[a-z]+", words[0]) else None
                found.append((match.group(1), verb, words[1 if verb else 0:]))
        return found

    def close(self):
        self.world.close()


@scenario("a daemon whose --home is no home yet says so, makes it, and says nothing the second time")
def new_homes(line):
    for words, role in ((["--enclave", program("cloister-enclave")], "an operator"), (["--role", "witness"], "a witness")):
        home, log = line.world.path("typo-" + role.split()[1]), line.world.path("typo.log")
        daemon = Daemon("typo", [program("cloisterd"), *words, "--home", home], log)
        daemon.start(60)
        equal(daemon.stop(), 0)
        check(f"{home} was not the home of {role}; a new one is made" in daemon.tail(), daemon.tail())
        os.unlink(log)
        daemon.start(60)
        equal(daemon.stop(), 0)
        check("a new one is made" not in daemon.tail(), daemon.tail())
        os.unlink(log)
    done = run([program("cloister-kms"), "--home", line.world.path("typo-kms")])
    check(done.code == 3 and "is no home of a key service; make one with" in done.err, repr(done))


@scenario("help on every level, and the version")
def help_text(line):
    for name in ("cloister", "cloisterd", "cloister-kms"):
        done = run([program(name), "--help"])
        equal((done.code, done.err), (0, ""), name)
        done = run([program(name), "--version"])
        check(done.code == 0 and re.fullmatch(rf"{name} \d+\.\d+\.\d+\n", done.out), repr(done))
    commands = line.commands()
    check(len(commands) > 50, f"{len(commands)} commands")
    promised = """init status explain party:new,show,export,import dataset:seal,push,list,show,verify,rekey
        agreement:new,check,show,diff,sign,submit,status,stop,resume,list run:start,list,show,watch,cancel output:open,list receipt:verify,show,list
        attest:verify,inspect,policy,fetch,collect,publish,bundle measure key:list,show,import,disable,enable,revoke,destroy,rotate dp:epsilon,calibrate,sample model:train,evaluate,predict,show demo"""
    have = {(noun, verb) for noun, verb, _ in commands}
    for word in promised.split():
        noun, _, verbs = word.partition(":")
        for verb in verbs.split(",") if verbs else [None]:
            check((noun, verb) in have, f"cloister {noun} {verb or ''} is not there")
    for noun in sorted({noun for noun, _, _ in commands}):
        done = run([program("cloister"), noun, "--help"])
        check(done.code == 0 and f"cloister {noun}" in done.out and done.err == "", repr(done))
    for noun, verb, _ in commands:
        done = run([program("cloister"), noun] + ([verb] if verb else []) + ["--help"])
        check(done.code == 0 and "Exit code" in done.out and done.err == "", repr(done))


@scenario("wrong words are exit 2, one line, and say where the help is")
def usage(line):
    home = ["--home", line.world.path("unused")]
    for words in ([], ["fly"], ["run"], ["run", "fly"], ["run", "start"], ["run", "start", "a"], ["run", "show", "x", "y"], ["--bogus"], ["run", "list", "--bogus"],
                  ["run", "list", "--schema", "x"], ["dataset", "seal", "x.csv"], ["-x"], ["run", "list", "--home"], ["run", "list", "--json=yes"], ["run", "show", "zz"],
                  ["explain", "a;b"], ["dp", "epsilon"], ["dp", "epsilon", "--mechanism", "magic", "--sigma", "1"], ["dp", "epsilon", "--mechanism", "gaussian", "--sigma", "-1"],
                  ["dp", "epsilon", "--mechanism", "gaussian", "--sigma", "nan"], ["dp", "sample", "--mechanism", "gaussian", "--sigma", "1", "--count", "1e3"],
                  ["model", "train"], ["budget", "set", "x", "NaN"], ["output", "open", "00" * 15], ["completion", "zsh"], ["attest", "verify"], ["audit", "ledger"]):
        done = run([program("cloister")] + home + words)
        equal(done.code, 2, repr(done))
        if words:
            equal(len(done.err.strip().splitlines()), 1, repr(done))
            check(done.err.startswith("cloister: "), repr(done))
            equal(done.out, "", repr(done))
    check(not os.path.exists(line.world.path("unused")), "wrong words made a home")


def one_document(done):
    """Exactly one JSON document, one line end."""
    check(done.out.endswith("\n") and not done.out.endswith("\n\n"), repr(done))
    value, end = json.JSONDecoder().raw_decode(done.out)
    equal(done.out[end:], "\n", f"behind the document: {done!r}")
    return value


@scenario("no file that a daemon makes can be read by other users, certificates and the public log apart")
def private_files(line):
    public = {"tls.pem", "checkpoint"}
    for folder, _, names in os.walk(line.world.path("")):
        if not {"operator", "north-kms", "witness"} & set(folder.split(os.sep)):
            continue
        for name in set(names) - public:
            mode = os.stat(os.path.join(folder, name)).st_mode & 0o077
            equal(mode, 0, os.path.join(folder, name))


def empty_bundle(w):
    os.makedirs(w.path("empty"), exist_ok=True)
    w.write("empty/index.json", "[]")
    return w.path("empty")


@scenario("--json is exactly one document for every command, whether it succeeds or fails", seconds=120)
def json_everywhere(line):
    w, north, analyst = line.world, line.north, line.analyst
    w.write("new.csv", rows_text(50, 100))
    w.write("copy.yaml", w.template_text(title="a copy"))
    key = north.must_json("key", "list")["keys"][0]["id"]
    north.must("dataset", "seal", w.path("new.csv"), "--schema", w.path("schema.json"), "--name", "spare")
    w.write("evidence", b"")
    data = ["--data", w.path("north.csv"), "--schema", w.path("schema.json")]
    done_by = {}
    for who, code, words in (
            (analyst, 0, ["init"]), (analyst, 0, ["status"]), (north, 0, ["status"]), (analyst, 0, ["console"]), (analyst, 0, ["party", "show"]),
            (analyst, 0, ["party", "show", north.party_file]), (analyst, 0, ["party", "export", "--out", w.path("x.party")]), (analyst, 0, ["party", "import", north.party_file]),
            (north, 0, ["dataset", "list"]), (north, 0, ["dataset", "list", "--local"]), (north, 0, ["dataset", "show", "spare"]), (north, 0, ["dataset", "verify", "spare"]),
            (north, 0, ["key", "import", "spare"]), (north, 0, ["dataset", "push", "spare"]),
            (north, 0, ["dataset", "seal", w.path("new.csv"), "--schema", w.path("schema.json"), "--name", "spare2"]),
            (north, 0, ["dataset", "rekey", w.path("new.csv"), "--name", "spare"]),
            (analyst, 0, ["agreement", "new", w.path("copy.yaml"), "--out", w.path("copy.agreement")]), (analyst, 0, ["agreement", "check", w.path("copy.agreement")]),
            (analyst, 0, ["agreement", "check", w.path("copy.yaml")]), (analyst, 0, ["agreement", "show", w.path("copy.agreement")]),
            (analyst, 0, ["agreement", "diff", w.path("world.agreement"), w.path("copy.agreement")]), (analyst, 0, ["agreement", "sign", w.path("copy.agreement")]),
            (analyst, 0, ["agreement", "submit", w.path("copy.agreement")]), (analyst, 0, ["agreement", "status", w.agreement]), (north, 0, ["agreement", "status", w.agreement]),
            (analyst, 0, ["agreement", "list"]), (analyst, 0, ["run", "list"]), (analyst, 0, ["run", "list", "--agreement", w.agreement]), (analyst, 0, ["run", "show", line.run_id]),
            (analyst, 0, ["run", "watch", line.run_id]), (analyst, 1, ["run", "cancel", line.run_id]), (analyst, 0, ["run", "start", w.agreement, "means", "--watch"]),
            (analyst, 0, ["output", "list"]), (analyst, 0, ["output", "open", line.run_id]), (analyst, 0, ["receipt", "list"]),
            (analyst, 0, ["receipt", "fetch", line.run_id, "--out", w.path("two.receipt")]), (analyst, 0, ["receipt", "show", w.path("one.receipt")]),
            (analyst, 0, ["receipt", "verify", w.path("one.receipt")]), (analyst, 0, ["receipt", "compare", w.path("one.receipt"), w.path("one.receipt")]), (analyst, 0, ["attest", "fetch", "--out", w.path("evidence")]),
            (analyst, 0, ["attest", "inspect", w.path("evidence")]), (analyst, 0, ["measure", program("cloister-enclave")]),
            (analyst, 0, ["attest", "policy", "check", w.write("appraisal.json", '{"allow_simulated": true}')]), (analyst, 0, ["attest", "collect", "--list"]),
            (analyst, 0, ["attest", "publish", "policy", "mine", w.path("appraisal.json")]), (analyst, 2, ["attest", "publish", "nothing", "x", "y"]),
            (analyst, 0, ["attest", "bundle", empty_bundle(w), "--version-number", "1", "--out", w.path("empty.bundle")]),
            (analyst, 0, ["attest", "verify", "--type", "sim", "--evidence", w.path("evidence"), "--collateral", "root=" + analyst.home + "/roots/sim-root.der"]),
            (north, 0, ["key", "list"]), (north, 0, ["key", "show", key]), (north, 3, ["key", "show", "00" * 16]), (north, 0, ["key", "disable", key]), (north, 0, ["key", "enable", key]), (north, 0, ["key", "rotate"]),
            (north, 0, ["budget", "list"]), (analyst, 0, ["budget", "list", "--agreement", w.agreement]), (north, 0, ["budget", "set", "north-rows", "7"]),
            (analyst, 0, ["dp", "epsilon", "--mechanism", "gaussian", "--sigma", "4", "--delta", "1e-6"]),
            (analyst, 0, ["dp", "calibrate", "--mechanism", "gaussian", "--epsilon", "1", "--delta", "1e-6"]),
            (analyst, 0, ["model", "train"] + data + ["--epsilon", "3", "--out", w.path("local.model")]), (analyst, 0, ["model", "train"] + data + ["--folds", "3"]),
            (analyst, 0, ["model", "evaluate", "--model", w.path("one.model")] + data), (analyst, 0, ["model", "show", w.path("one.model")]),
            (analyst, 0, ["model", "predict", "--model", w.path("one.model"), "--out", w.path("predicted.csv")] + data),
            (north, 0, ["audit", "ledger", north.kms_home + "/kms.db"]),
            (north, 0, ["audit", "log", w.operator_home + "/log", "--key", w.operator_info["log"]["vkey"]]),
            (analyst, 0, ["agreement", "stop", w.agreement]), (analyst, 0, ["agreement", "resume", w.agreement]), (analyst, 3, ["explain", "00" * 16]),
            (analyst, 3, ["run", "show", "00" * 16]), (analyst, 2, ["run", "start", w.agreement, "means", "--param", "x"]), (analyst, 3, ["receipt", "verify", "/absent"]),
            (north, 0, ["key", "revoke", key]), (north, 0, ["key", "destroy", key]), (north, 0, ["agreement", "terminate", w.agreement])):
        done = who.cli("--json", *words, seconds=60)
        equal(done.code, code, repr(done))
        value = one_document(done)
        check(isinstance(value, (dict, list)), repr(done))
        if code != 0:
            check(value["error"]["code"] and value["error"]["detail"], repr(done))
            equal(len(done.err.strip().splitlines()), 1, repr(done))
        else:
            equal(done.err, "", f"remarks beside a JSON document: {done!r}")
        done_by[words[0], words[1] if len(words) > 1 and re.fullmatch("[a-z]+", words[1]) else None] = value
    missing = {(noun, verb) for noun, verb, _ in line.commands()} - set(done_by) - {("demo", None), ("completion", "bash"), ("dp", "sample"), ("explain", None), ("party", "new"),
                                                                                     ("measure", None)}
    check(not missing, f"commands without a JSON scenario: {missing}")
    equal(done_by["measure", None]["measurement"], w.operator_info["tee"]["measurement"], "measure and the operator's own word")
    check(abs(done_by["dp", "epsilon"]["epsilon"] - 1.1) < 0.3, f"{done_by['dp', 'epsilon']}")
    check(done_by["model", "evaluate"]["accuracy"] > 0.6, f"{done_by['model', 'evaluate']}")


@scenario("no progress bar and no colour in a pipe; a bar on a terminal; nothing with --quiet")
def progress(line):
    w, north = line.world, line.north
    w.write("long.csv", rows_text(51, 60000))
    words = ["dataset", "seal", w.path("long.csv"), "--schema", w.path("schema.json"), "--name"]
    done = north.must(*words, "long1")
    check("\r" not in done.out + done.err and "\x1b" not in done.out + done.err, repr(done))
    quiet = north.must("--quiet", *words, "long2")
    equal(quiet.out + quiet.err, "", repr(quiet))
    check(re.fullmatch(r"[0-9a-f]{32}\n", line.quiet_start.out), repr(line.quiet_start))
    master, slave = pty.openpty()
    child = subprocess.Popen([program("cloister"), "--home", north.home] + words + ["long3"], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                             env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TERM": "xterm"})
    os.close(slave)
    seen = b""
    try:
        while True:
            piece = os.read(master, 65536)
            if not piece:
                break
            seen += piece
    except OSError:
        pass
    os.close(master)
    equal(child.wait(), 0, repr(seen[-500:]))
    check(b"sealing" in seen and seen.count(b"\r") > 1, f"no bar on a terminal: {seen[:300]!r}")


@scenario("the completion script is good bash and completes nouns, verbs and options")
def completion(line):
    script = run([program("cloister"), "completion", "bash"])
    equal(script.code, 0, repr(script))
    ask = script.out + """
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _cloister; echo "${COMPREPLY[*]}"; }
complete_words cloister agr
complete_words cloister run st
complete_words cloister dataset seal --sch
"""
    done = run(["bash", "-euc", ask])
    equal((done.code, done.out.split("\n")[:3]), (0, ["agreement", "start", "--schema"]), repr(done))


@scenario("exact noise: integers, one a line, symmetric, of the right spread")
def noise(line):
    for mechanism, option, spread in (("discrete-gaussian", ["--sigma", "10"], 10), ("discrete-laplace", ["--scale", "10"], 14.1)):
        done = line.analyst.must("dp", "sample", "--mechanism", mechanism, *option, "--count", "4000")
        values = [int(one) for one in done.out.split()]
        equal(len(values), 4000, mechanism)
        check(abs(sum(values) / len(values)) < 5 * spread / 4000 ** 0.5, f"{mechanism}: mean {sum(values) / len(values)}")
        deviation = (sum(one * one for one in values) / len(values)) ** 0.5
        check(0.85 * spread < deviation < 1.15 * spread, f"{mechanism}: deviation {deviation}")


@scenario("$CLOISTER_HOME is the home where none is given, and no secret stands in arguments or environment of the daemons")
def environment(line):
    done = run([program("cloister"), "--json", "party", "show"], env={"CLOISTER_HOME": line.north.home})
    equal((done.code, done.json()["name"]), (0, "north"), repr(done))
    done = run([program("cloister"), "party", "show"], env={"CLOISTER_HOME": "", "HOME": ""})
    equal(done.code, 2, repr(done))
    for daemon in line.world.daemons:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{daemon.pid}/{name}", "rb") as file:
                text = file.read()
            check(len(text) < 4000 and b"KEY" not in text.upper().replace(b"NORTH-KMS", b""), f"{daemon.name}: {text!r}")


if __name__ == "__main__":
    raise SystemExit(main(Line, Line.close))
