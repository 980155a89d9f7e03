"""A whole world on loopback, made by the programs' own command lines: witness, operator, owners with their key services, an analyst, one agreement.

Every directory lies under one temporary directory that close() removes; every child is ended by its own process id.
"""
import atexit
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from plain_formats import Identity, cbor_encode, cose_sign1

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_folder():
    return os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build"))


def program(name):
    return os.path.join(build_folder(), "bin", name)


def until(condition, seconds, what, pause=0.05):
    """Wait until condition() gives something true, and return that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Done:
    """What a command left: code, out, err."""

    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"{' '.join(map(str, self.command))}\n  exit {self.code}\n  out: {self.out[-1500:]}\n  err: {self.err[-1500:]}"


def bare_environment():
    """What a child gets: nothing of the caller's home, but how the sanitizers are to behave."""
    bare = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    bare.update({name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS") if name in os.environ})
    return bare


def run(command, seconds=30, stdin=None, env=None, cwd=None):
    clean = dict(bare_environment(), **(env or {}))
    child = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean, cwd=cwd)
    try:
        out, err = child.communicate(stdin, timeout=seconds)
    except BaseException:
        child.kill()
        child.wait()
        raise
    return Done(command, child.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


class Daemon:
    """A daemon that can be started again in its home after whatever happened to it."""

    def __init__(self, name, command, log):
        self.name, self.command, self.log, self.child = name, [str(word) for word in command], log, None
        self.environment = {}  # beyond the bare one

    def start(self, seconds=10):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                          env=dict(bare_environment(), **self.environment))
        os.set_blocking(self.child.stdout.fileno(), False)
        said = b""
        end = time.monotonic() + seconds
        while b"\n" not in said:
            said += self.child.stdout.read() or b""
            if self.child.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"{self.name} did not start: {said!r}\n{self.tail()}")
            time.sleep(0.01)
        return self

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def _gone(self):
        if self.child is not None:
            self.child.stdout.close()
        self.child = None

    def kill(self):
        """kill -9."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self._gone()

    def stop(self, seconds=15):
        """SIGTERM; its exit code."""
        if self.child is None:
            return None
        self.child.terminate()
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end on SIGTERM\n{self.tail()}")
        self._gone()
        return code

    def tail(self):
        with open(self.log, "rb") as log:
            return log.read()[-2000:].decode(errors="replace")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:600]!r}"


def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def address(url):
    host, port = url.split("//")[1].rsplit(":", 1)
    return host, int(port)


def http_ask(url, method, path, body=None, headers=None, token=None, seconds=15):
    connection = http.client.HTTPSConnection(*address(url), context=tls(), timeout=seconds)
    try:
        all_headers = dict(headers or {})
        if token is not None:
            all_headers["Authorization"] = "Bearer " + token
        connection.request(method, path, body=body, headers=all_headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def raw_exchange(url, data, seconds=5):
    """Bytes over TLS as they are; everything that comes back until the peer closes or falls silent."""
    with socket.create_connection(address(url), seconds) as plain, tls().wrap_socket(plain) as channel:
        channel.sendall(data)
        channel.settimeout(seconds)
        back = b""
        try:
            while True:
                piece = channel.recv(65536)
                if not piece:
                    break
                back += piece
                channel.settimeout(0.5)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            pass
        return back


SCHEMA = {"columns": {"age": {"type": "int", "min": 0, "max": 120}, "dose": {"type": "float", "min": 0, "max": 10},
                      "group": {"type": "code", "codes": ["a", "b", "c"]}, "outcome": {"type": "code", "codes": ["no", "yes"]},
                      "note": {"type": "text", "nullable": True}}, "target": "outcome"}

SQL = "SELECT outcome, COUNT(*) AS n, AVG(age) AS age FROM rows GROUP BY outcome"


def rows_text(seed, count, mark="row"):
    """A table in which older people with a higher dose fare better; every row carries a note that can be searched for."""
    rng = random.Random(seed)
    lines = ["age,dose,group,outcome,note"]
    for index in range(count):
        age, dose = rng.randint(18, 95), round(rng.uniform(0, 10), 3)
        outcome = "yes" if age / 120 + dose / 10 + rng.gauss(0, 0.15) > 0.95 else "no"
        lines.append(f"{age},{dose},{rng.choice('abc')},{outcome},{mark}-{seed}-{index:05d}-{rng.getrandbits(64):016x}")
    return "\n".join(lines) + "\n"


# What a machine may refuse to give the runtime: tests run on any.
LAYERS = "user-namespace, mount-namespace, pid-namespace, net-namespace, ipc-namespace, uts-namespace, empty-root, landlock, secret-memory, locked-rows"

TEMPLATE = """\
format: cloister-agreement/1
title: "{title}"
not_after: "{not_after}"
allow_simulated: true
telemetry: [counts, timings, states]
lease_seconds: {lease}
reattest_seconds: {reattest}
operator: operator.json
parties:
{parties}
datasets:
{datasets}
programs:
  - {{name: means, kind: sql, sql: "{sql}"}}
  - {{name: learn, kind: train, target: outcome, steps: {steps}}}
runtimes:
  - {{tee: sim, measurements: [{{program: "{enclave}"}}], roots: operator, may_lack: [{lack}]}}
runs:
  - {{name: means, program: means, datasets: [{names}], starters: [analyst], recipients: [analyst], price: "{price}", count_max: {count}, min_rows: 20}}
  - {{name: model, program: learn, datasets: [{names}], starters: [analyst], recipients: [analyst], price: "{price}", count_max: {count}, min_rows: 20}}
"""


class Party:
    def __init__(self, world, name):
        self.world, self.name, self.home = world, name, os.path.join(world.folder, name)
        self.info = None   # of its key service
        self.kms = None    # Daemon
        self.dataset = None

    def cli(self, *words, seconds=30, **more):
        return run([program("cloister"), "--home", self.home] + list(words), seconds=seconds, **more)

    def must(self, *words, seconds=30, **more):
        done = self.cli(*words, seconds=seconds, **more)
        if done.code != 0:
            raise AssertionError(f"{done!r}\n{self.world.tails()}")
        return done

    def must_json(self, *words, seconds=30, **more):
        return self.must("--json", *words, seconds=seconds, **more).json()

    @property
    def party_file(self):
        return os.path.join(self.home, self.name + ".party")

    @property
    def kms_home(self):
        return os.path.join(self.world.folder, self.name + "-kms")

    def identity(self):
        return Identity.read(os.path.join(self.home, "identity.key"))

    def ask(self, method, path, **more):
        """A request to the operator under a fresh token of this party."""
        return http_ask(self.world.operator_info["url"], method, path, token=self.identity().token(self.world.operator_info["audience"]), **more)


    def push_policy(self, name, version, policy):
        """A signed appraisal policy at the operator."""
        payload = {"format": "cloister-attest-policy/1", "name": name, "version": version, "policy": policy}
        return self._push("policies", "application/cloister-attest-policy", payload)

    def push_values(self, name, version, values):
        """A signed set of reference values at the operator."""
        payload = {"format": "cloister-reference-values/1", "name": name, "version": version, "issued": 1700000000, "expires": 0, "values": values}
        return self._push("reference-values", "application/cloister-reference-values", payload)

    def _push(self, what, kind, payload):
        file = cose_sign1(self.identity().seed, kind, cbor_encode(payload))
        return self.ask("POST", "/api/v1/attestation/" + what, body=file, headers={"Content-Type": "application/cose"})


class World:
    """Owners "north", "south", …; one analyst. With agree=False there is neither an agreement nor data yet."""

    def __init__(self, owners=("north", "south"), row_count=400, lease=600, reattest=120, price="1/100", limit="1", steps=20, count=50, agree=True):
        self.folder = tempfile.mkdtemp(prefix="cloister-world-")
        atexit.register(self.close)
        self.daemons, self.agreement = [], None
        self.witness_home, self.operator_home = os.path.join(self.folder, "witness"), os.path.join(self.folder, "operator")
        self.terms = {"lease": lease, "reattest": reattest, "price": price, "limit": limit, "steps": steps, "count": count}
        self.row_count = row_count
        try:
            self._start_operator()
            self.analyst = Party(self, "analyst")
            self.owners = [Party(self, name) for name in owners]
            self._make_parties()
            if agree:
                self.make_agreement()
                for index, owner in enumerate(self.owners):
                    self.seal_and_push(owner, rows_text(index + 1, row_count))
        except BaseException:
            self.close()
            raise

    # ---- servers ----

    def daemon(self, name, command):
        one = Daemon(name, command, os.path.join(self.folder, name + ".log"))
        self.daemons.append(one)
        return one

    def init(self, command):
        done = run(command)
        if done.code != 0:
            raise AssertionError(repr(done))
        return done.json()

    def _start_operator(self):
        cloisterd = program("cloisterd")
        self.witness_info = self.init([cloisterd, "--role", "witness", "init", "--home", self.witness_home, "--name", "witness.example", "--open-logs", "16"])
        w = self.witness_info
        self.witness_place = f"{w['url']},{w['spki']},{w['vkey']}"
        self.operator_info = self.init([cloisterd, "init", "--home", self.operator_home, "--name", "operator", "--enclave", program("cloister-enclave"),
                                        "--witness", self.witness_place])
        self.write("operator.json", json.dumps(self.operator_info))
        self.witness = self.daemon("witness", [cloisterd, "--role", "witness", "--home", self.witness_home, "--log", self.operator_info["log"]["vkey"]])
        self.operator = self.daemon("operator", [cloisterd, "--home", self.operator_home])
        self.witness.start()
        self.operator.start()

    def _make_parties(self):
        for party in self.owners + [self.analyst]:
            party.must("party", "new", party.name)
            shutil.copy(party.party_file, self.folder)
        for owner in self.owners:
            owner.info = self.init([program("cloister-kms"), "init", "--home", owner.kms_home, "--owner", owner.party_file, "--witness", self.witness_place])
            self.write(owner.name + "-kms.json", json.dumps(owner.info))
            owner.kms = self.daemon(owner.name + "-kms", [program("cloister-kms"), "--home", owner.kms_home]).start()
            owner.must("init", "--operator", self.path("operator.json"), "--kms", self.path(owner.name + "-kms.json"))
        self.analyst.must("init", "--operator", self.path("operator.json"))

    # ---- agreement and data ----

    def template_text(self, **changes):
        terms = dict(self.terms, **changes)
        parties = [f"  - {{party: {p.name}.party, role: data-owner, kms: {p.name}-kms.json}}" for p in self.owners] + ["  - {party: analyst.party, role: analyst}"]
        datasets = [f"  - {{name: {p.name}-rows, owner: {p.name}, schema: schema.json, budget: {{rho: \"{terms['limit']}\", delta: 0.000001}}}}" for p in self.owners]
        return TEMPLATE.format(title=terms.get("title", "means and models"), not_after=terms.get("not_after", "2099-01-01T00:00:00Z"), lease=terms["lease"],
                               reattest=terms["reattest"], parties="\n".join(parties), datasets="\n".join(datasets), sql=terms.get("sql", SQL), steps=terms["steps"],
                               count=terms["count"], enclave=program("cloister-enclave"), lack=terms.get("lack", LAYERS), names=", ".join(p.name + "-rows" for p in self.owners), price=terms["price"])

    def make_agreement(self, name="world", **changes):
        """Compile, sign by all, submit; its id."""
        self.write("schema.json", json.dumps(SCHEMA))
        template, file = self.write(name + ".yaml", self.template_text(**changes)), self.path(name + ".agreement")
        self.analyst.must("agreement", "new", template, "--out", file)
        for party in [self.analyst] + self.owners:
            party.must("agreement", "sign", file)
        for party in [self.analyst] + self.owners:
            self.agreement = party.must_json("agreement", "submit", file)["id"]
        return self.agreement

    def seal_and_push(self, owner, text):
        owner.dataset = owner.name + "-rows"
        csv = self.write(owner.name + ".csv", text)
        owner.must("dataset", "seal", csv, "--schema", self.path("schema.json"), "--name", owner.dataset)
        owner.must("dataset", "push", owner.dataset)

    # ---- runs ----

    def start_run(self, name="means"):
        return self.analyst.must_json("run", "start", self.agreement, name)["id"]

    def view(self, run_id):
        """The run as the operator shows it, or None while the operator does not answer."""
        try:
            answer = self.analyst.ask("GET", "/api/v1/runs/" + run_id, seconds=3)
        except OSError:
            return None
        return answer.json() if answer.status == 200 else None

    def end_of(self, run_id, seconds=40):
        def over():
            view = self.view(run_id)
            return view if view and view["state"] in ("done", "failed", "cancelled") else None
        return until(over, seconds, f"run {run_id} ends", 0.1)

    # ---- files, end ----

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, data):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def stop_all(self):
        """Each by SIGTERM; whatever had to be killed is an error."""
        for one in reversed(self.daemons):
            if one.alive():
                code = one.stop()
                if code != 0:
                    raise AssertionError(f"{one.name} ended with {code}\n{one.tail()}")

    def start_all(self):
        for one in self.daemons:
            if not one.alive():
                one.start()

    def tails(self):
        return "\n".join(f"--- {one.name}\n{one.tail()}" for one in self.daemons if os.path.exists(one.log))

    def children_of(self, daemon):
        """Process ids whose parent is this daemon: the runtimes."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    text = stat.read()
                if int(text.rsplit(")", 1)[1].split()[1]) == daemon.pid:
                    found.append(int(entry))
            except (OSError, IndexError):
                continue
        return found

    def close(self):
        atexit.unregister(self.close)
        for one in reversed(self.daemons):
            one.kill()
        if os.environ.get("KEEP_WORLD"):
            print(f"# kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def kill_process(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
