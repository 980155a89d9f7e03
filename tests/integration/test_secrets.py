"""T28: rows and keys are planted with bytes that occur nowhere else, and are searched for during and after a run in every file, in the arguments, environment and memory of
every process, in cores, logs, metrics, answers and events. Who may hold what is the table `MAY` and docs/threats.md. A twin plants a leak of each kind and must find it."""
import base64
import http.client
import os
import resource
import secrets as generator
import signal
import sqlite3
import subprocess
import sys
import time

from plain_formats import cbor_decode, container_open
from scenario import check, equal, main, scenario
from secret_search import Secrets
from world import World, address, bare_environment, program, rows_text, tls, until

PHASE_SECONDS = 20


def openssl(*words, stdin=b""):
    return subprocess.run(["openssl", *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def unwrapped(kek, wrapped):
    """A data key as the key service keeps it: nonce (12) ‖ AES-256-GCM of 32 bytes; its key stream is two counter blocks."""
    blocks = b"".join(wrapped[:12] + number.to_bytes(4, "big") for number in (2, 3))
    stream = openssl("enc", "-aes-256-ecb", "-nopad", "-K", kek.hex(), stdin=blocks)
    return bytes(a ^ b for a, b in zip(wrapped[12:44], stream))


def private_scalar(path):
    """The 32 bytes of a P-256 private key."""
    with open(path, "rb") as file:
        data = file.read()
    der = openssl("ec", "-outform", "DER", stdin=data) if data.startswith(b"-----") else data
    at = der.index(b"\x04\x20")
    return der[at + 2:at + 34]


def children(pid):
    """Of all its threads."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(word) for word in file.read().split()]
    except FileNotFoundError:
        pass
    return found


class Planted:
    """A world whose secrets are known to the test."""

    def __init__(self):
        self.cores = None
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        self.world = w = World(agree=False, steps=1000)
        self.cores = w.path("cores")
        os.mkdir(self.cores)
        self.secrets, self.may_hold = Secrets(), {}
        w.make_agreement()
        for index, owner in enumerate(w.owners):
            mark = "planted" + generator.token_hex(12)
            w.seal_and_push(owner, rows_text(index + 1, 20000, mark))
            os.unlink(w.path(owner.name + ".csv"))  # the owner's own copy; from here on nobody has the rows in the clear
            self.plant("rows of " + owner.name, mark.encode(), "runtime", "program")
        self._plant_keys()
        # Working directories of their own, in which a core would be found.
        for daemon in w.daemons:
            daemon.stop()
        before = os.getcwd()
        os.chdir(self.cores)
        try:
            for daemon in w.daemons:
                daemon.start()
        finally:
            os.chdir(before)

    def plant(self, name, raw, *holders):
        """holders: names of processes, and paths relative to the world."""
        self.secrets.plant(name, raw)
        self.may_hold[name] = set(holders)

    def _plant_keys(self):
        w = self.world
        for party in w.owners + [w.analyst]:
            own = party.identity()
            self.plant("signing key of " + party.name, own.seed, "client", party.name + "/identity.key")
            self.plant("HPKE key of " + party.name, own.hpke, "client", party.name + "/identity.key")
        for owner in w.owners:
            self._plant_key_service(owner)
        with open(os.path.join(w.operator_home, "log.key"), "rb") as file:
            self.plant("log key", file.read(), "operator", "operator/log.key")
        with open(os.path.join(w.witness_home, "witness.key"), "rb") as file:
            self.plant("witness key", file.read(), "witness", "witness/witness.key")
        for name in ("operator", "witness"):
            self.plant("TLS key of " + name, private_scalar(w.path(name, "tls.key")), name, name + "/tls.key")

    def _plant_key_service(self, owner):
        me = owner.name + "-kms"
        with open(os.path.join(owner.kms_home, "identity.kms"), "rb") as file:
            body = container_open(file.read(), b"CLOKMSID")
        own = me, me + "/identity.kms"
        self.plant("HPKE key of " + me, body[:32], *own)
        self.plant("nonce key of " + me, body[32:64], *own)
        kek = body[73:105]
        self.plant("key-encryption key of " + me, kek, *own)
        self.plant("TLS key of " + me, private_scalar(os.path.join(owner.kms_home, "tls.key")), me, me + "/tls.key")
        base = sqlite3.connect(f"file:{owner.kms_home}/kms.db?mode=ro", uri=True)
        (wrapped,) = base.execute("SELECT wrapped FROM deks").fetchone()
        base.close()
        self.plant("data key of " + owner.name, unwrapped(kek, wrapped), me, "runtime")

    def close(self):
        self.world.close()

    def foreign(self, holder, found):
        return sorted(name for name in found if holder not in self.may_hold[name])

    def processes(self, client=None):
        """(name, pid) of all that lives, the runtime and its program included."""
        w = self.world
        yield from ((daemon.name, daemon.pid) for daemon in w.daemons if daemon.alive())
        if client is not None:
            yield "client", client
        for runtime in children(w.operator.pid):
            yield "runtime", runtime
            yield from (("program", one) for one in children(runtime))

    def leaks(self, client=None):
        """Everything that somebody holds and may not."""
        found = []
        for name, pid in self.processes(client):
            for place, held in (("memory", self.secrets.in_memory(pid)), ("words", self.secrets.in_words(pid))):
                bad = self.foreign(name, held) if place == "memory" else sorted(held)
                found += [f"{place} of {name}: {one}" for one in bad]
        for folder in (self.world.folder, "/dev/shm"):
            for path, held in self.secrets.in_tree(folder).items():
                found += [f"{os.path.relpath(path, self.world.folder)}: {one}" for one in self.foreign(os.path.relpath(path, self.world.folder), held)]
        return found

    def start(self):
        """A run that is stopped in the middle of its computation, and who watches it."""
        run_id = self.world.start_run("model")
        client = subprocess.Popen([program("cloister"), "--home", self.world.analyst.home, "run", "watch", run_id], cwd=self.cores,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=bare_environment())
        until(lambda: (self.world.view(run_id) or {}).get("state") in ("computing", "committing", "done", "failed"), PHASE_SECONDS, "the run computes")
        runtime = children(self.world.operator.pid)
        check(runtime and children(runtime[0]), f"the runtime is gone: {self.world.view(run_id)}")
        return run_id, client, runtime[0], children(runtime[0])[0]


@scenario("T28_nothing_leaks: rows and keys are with their holders only, during and after a run", seconds=150)
def nothing_leaks(planted):
    w = planted.world
    run_id, client, runtime, child = planted.start()
    for pid in (child, runtime):
        os.kill(pid, signal.SIGSTOP)
    try:
        check(planted.secrets.in_memory(child) & {"rows of north", "rows of south"}, "the search does not even see the rows in the program's memory")
        equal(planted.leaks(client.pid), [], "during the run")
    finally:
        for pid in (child, runtime):
            os.kill(pid, signal.SIGCONT)
    view = w.end_of(run_id, 90)
    equal(view["state"], "done", repr(view))
    said = client.communicate(timeout=20)[0]
    w.analyst.must("output", "open", run_id)
    equal(planted.leaks(), [], "after the run")
    equal(planted.secrets.in_bytes(said), set(), "what the watching client printed")


@scenario("T28_answers: no answer, metric, event or log line holds a secret", seconds=60)
def answers(planted):
    w = planted.world
    run_id = w.start_run("means")
    heard = b""
    for path in ("/api/v1/runs/" + run_id + "/events", "/events"):
        heard += events(w, path)
    w.end_of(run_id)
    token = w.analyst.identity().token(w.operator_info["audience"])
    for path in ("/metrics", "/api/v1/compute/status", "/api/v1/runs", "/api/v1/runs/" + run_id, "/api/v1/receipts/" + run_id, "/api/v1/outputs/" + run_id,
                 "/api/v1/outputs/" + run_id + "/shares", "/api/v1/agreements", "/api/v1/datasets", "/api/v1/parties", "/log/checkpoint"):
        heard += ask(w.operator_info["url"], path, token)
    for owner in w.owners:
        token = owner.identity().token(owner.info["spki"])
        for path in ("/metrics", "/v1/info", "/v1/nonce", "/v1/runs", "/v1/keys", "/v1/budgets", "/v1/ledger", "/v1/agreements", "/v1/runs/" + run_id + "/shares"):
            heard += ask(owner.info["url"], path, token)
    check(len(heard) > 5000, f"only {len(heard)} bytes were heard")
    equal(planted.secrets.in_bytes(heard), set(), "answers and events")
    for daemon in w.daemons:
        equal(planted.secrets.in_file(daemon.log), set(), f"log of {daemon.name}")


def ask(url, path, token):
    connection = http.client.HTTPSConnection(*address(url), context=tls(), timeout=5)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer " + token})
        answer = connection.getresponse()
        body = answer.read()
        check(answer.status == 200, f"{path}: {answer.status} {body[:200]}")
        return str(answer.getheaders()).encode() + body
    finally:
        connection.close()


def events(w, path, seconds=1.5):
    connection = http.client.HTTPSConnection(*address(w.operator_info["url"]), context=tls(), timeout=seconds)
    heard = b""
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer " + w.analyst.identity().token(w.operator_info["audience"])})
        answer = connection.getresponse()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            piece = answer.read1(65536)
            if not piece:
                break
            heard += piece
    except TimeoutError:
        pass
    finally:
        connection.close()
    return heard


def core_files(planted):
    return [os.path.join(planted.cores, name) for name in os.listdir(planted.cores)]


def allows_core(pid):
    with open(f"/proc/{pid}/limits") as limits:
        return not any(line.split()[4:6] == ["0", "0"] for line in limits if line.startswith("Max core file size"))


def crash(name, process, how):
    process.send_signal(how)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -how
    check(os.WIFSIGNALED(status), f"{name} lived on")
    check(not os.WCOREDUMP(status), f"{name} left a core")


@scenario("T28_cores: a process that is made to crash leaves no core that holds a secret", seconds=120)
def cores(planted):
    w = planted.world
    run_id, client, runtime, child = planted.start()
    os.kill(child, signal.SIGSTOP)
    check(client.poll() is None, "nobody watches")
    crash("client", client, signal.SIGSEGV)
    for name, pid in (("program", child), ("runtime", runtime)):
        check(not allows_core(pid), f"{name} may leave a core")
        os.kill(pid, signal.SIGSEGV)
        os.kill(pid, signal.SIGCONT)
    w.end_of(run_id, 60)
    for index, daemon in enumerate(w.daemons):
        crash(daemon.name, daemon.child, signal.SIGSEGV if index % 2 else signal.SIGABRT)
    for path in core_files(planted):
        equal(planted.secrets.in_file(path), set(), path)
    for daemon in w.daemons:
        daemon.kill()
        daemon.start()


LEAKER = """
import os, sys, time
held = bytearray(sys.stdin.buffer.read())
print("ready", flush=True)
time.sleep(60)
"""


@scenario("T28_planted: the search finds a leak of each kind", seconds=60)
def planted_leaks(planted):
    mark = "planted" + generator.token_hex(12)
    planted.plant("bait", mark.encode())
    where = os.path.join(planted.world.operator_home, "leak")
    for text in (mark.encode(), mark.encode().hex().encode(), base64.b64encode(mark.encode())):
        with open(where, "wb") as file:
            file.write(b"\0" * (4 << 20) + text)  # across two pieces
        equal(planted.leaks(), ["operator/leak: bait"], "a file")
        os.unlink(where)
    equal(planted.secrets.in_bytes(b"event: run\n" + mark.encode()), {"bait"}, "an event")
    child = subprocess.Popen([sys.executable, "-c", LEAKER], cwd=planted.cores, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdin.write(mark.encode())
    child.stdin.close()
    child.stdout.readline()
    equal(planted.secrets.in_memory(child.pid), {"bait"}, "memory")
    equal(planted.secrets.in_words(child.pid), set(), "neither argument nor environment")
    child.send_signal(signal.SIGSEGV)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = -signal.SIGSEGV
    if os.WCOREDUMP(status) and core_files(planted):
        check(any(planted.secrets.in_file(path) == {"bait"} for path in core_files(planted)), "a core")
    else:
        print("# this machine writes no core into the working directory; what WCOREDUMP says is what is tested")
    for path in core_files(planted):
        os.unlink(path)
    for words, env in (([mark], {}), ([], {"LEAK": mark})):
        child = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"] + words, env=dict(os.environ, **env), stdout=subprocess.PIPE)
        child.stdout.readline()
        equal(planted.secrets.in_words(child.pid), {"bait"}, f"{words} {env}")
        child.kill()
        child.wait()
    del planted.secrets.all["bait"]


if __name__ == "__main__":
    raise SystemExit(main(Planted, Planted.close))
