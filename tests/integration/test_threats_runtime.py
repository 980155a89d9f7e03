"""T17 and T18: nothing that the host can choose beside the measured program goes unseen: environment, arguments, descriptors, limits of its kernel; and no switch for
development has a place in a production agreement."""
import ctypes
import os
import re
import resource
import select
import socket
import subprocess

from plain_formats import cbor_decode, container_open
from scenario import Skip, check, equal, main, scenario
from world import World, http_ask, program, run

ENVIRONMENT = ["LD_PRELOAD=/tmp/x.so", "LD_LIBRARY_PATH=/tmp", "GLIBC_TUNABLES=glibc.malloc.check=3", "MALLOC_ARENA_MAX=1", "MALLOC_PERTURB_=7", "OPENSSL_CONF=/tmp/openssl.cnf",
               "OPENSSL_MODULES=/tmp", "OPENSSL_ia32cap=0", "SSLKEYLOGFILE=/tmp/keys", "SSL_CERT_FILE=/tmp/ca", "TZ=UTC", "LANG=C", "PATH=/bin", "HOME=/", "TMPDIR=/tmp",
               "SQLITE_TMPDIR=/tmp", "CLOISTER_DEBUG=1", "CLOISTER_HOME=/tmp", "ASAN_OPTIONS=verbosity=1", "x=", "=x"]
ARGUMENTS = [["--debug"], ["--simulate"], ["--insecure"], ["--no-sandbox"], [""], ["-v"], ["a", "b"]]


def start(arguments=(), environment=(), descriptors=()):
    """cloister-enclave with a socket as descriptor 3 and whatever else; (process, our end of the socket)."""
    ours, theirs = socket.socketpair()
    pairs = dict(word.split("=", 1) for word in environment)

    def place():
        os.dup2(theirs.fileno(), 3)
        os.closerange(5, 1024) if not descriptors else None
        os.set_inheritable(3, True)
    child = subprocess.Popen([program("cloister-enclave"), *arguments], env=pairs, pass_fds=(3, *descriptors) if descriptors else (3,), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=place)
    theirs.close()
    return child, ours


def refused(child, ours, claim, what):
    _, err = child.communicate(timeout=10)
    ours.close()
    equal(child.returncode, 1, f"{what}: {err!r}")
    check(claim in err.decode(), f"{what}: {err!r}")


def sanitized():
    with open(program("cloister-enclave"), "rb") as file:
        return b"__asan_init" in file.read()


@scenario("T18_environment_and_arguments: each makes the start fail by its name")
def environment(_):
    if sanitized():
        raise Skip("sanitizers set their own environment")
    child, ours = start()  # control: with nothing, it waits for its orders
    try:
        child.wait(0.5)
        raise AssertionError(f"it ended by itself: {child.stderr.read()!r}")
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
    ours.close()
    for word in ENVIRONMENT:
        if word.startswith("="):
            continue
        refused(*start(environment=[word]), "runtime.environment", word)
    for words in ARGUMENTS:
        refused(*start(arguments=words), "runtime.arguments", str(words))


@scenario("T18_descriptors: those that can be seen are refused, the others are closed before anything happens")
def descriptors(_):
    if sanitized():
        raise Skip("sanitizers open descriptors of their own")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    for number in (5, 6, 63, 255, 1023):
        inside, outside = socket.socketpair()
        os.dup2(inside.fileno(), number, inheritable=True)
        refused(*start(descriptors=(number,)), "runtime.descriptors", f"descriptor {number}")
        os.close(number)
        inside.close(), outside.close()
    for number in (1024, 2000, 4095, 8191):
        inside, outside = socket.socketpair()
        try:
            os.dup2(inside.fileno(), number, inheritable=True)
        except OSError:
            raise Skip(f"this machine allows {hard} descriptors only")
        child, ours = start(descriptors=(number,))
        os.close(number)
        inside.close()
        ready, _, _ = select.select([outside], [], [], 5)
        check(ready and outside.recv(1) == b"", f"descriptor {number} is still open in the runtime")
        check(child.poll() is None, f"descriptor {number}: the runtime ended")
        child.kill()
        child.communicate()
        ours.close(), outside.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def configuration_of(w, run_id):
    file = w.path(run_id + ".receipt")
    w.analyst.must("receipt", "fetch", run_id, "--out", file)
    with open(file, "rb") as data:
        fields = cbor_decode(container_open(data.read(), b"CLORECPT"))
    return file, cbor_decode(fields["binding"]["configuration"])


def what_this_machine_gives():
    """Layers that another program gets here, found out without the runtime."""
    libc, given = ctypes.CDLL(None, use_errno=True), []
    for layer, flag in (("user-namespace", "--user"), ("mount-namespace", "--mount"), ("pid-namespace", "--pid"), ("net-namespace", "--net"), ("ipc-namespace", "--ipc"),
                        ("uts-namespace", "--uts")):
        flags = ["--user", "--map-root-user", "--fork"] + ([flag] if flag != "--user" else [])
        if run(["unshare", *flags, "true"]).code == 0:
            given.append(layer)
    if libc.syscall(444, None, 0, 1) > 0:  # landlock_create_ruleset, asked for its version
        given.append("landlock")
    descriptor = libc.syscall(447, 0)  # memfd_secret
    if descriptor >= 0:
        os.close(descriptor)
        given.append("secret-memory")
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] >= 64 << 20 or os.geteuid() == 0:
        given.append("locked-rows")
    return given + ["seccomp", "no-dump", "no-new-privileges"]


@scenario("T18_kernel_that_gives_less: a strict agreement refuses by the name of the layer, a tolerant one has it in its receipt", seconds=90)
def weaker_kernel(_):
    if sanitized():
        raise Skip("the sanitizers' memory cannot be locked")
    w = World(owners=("north",), row_count=100)
    try:
        tolerant = w.agreement
        usual = w.start_run("means")
        equal(w.end_of(usual)["state"], "done", "the usual run")
        _, before = configuration_of(w, usual)
        missing = [name for name, active in before["layers"].items() if not active]
        lost = [name for name in what_this_machine_gives() if not before["layers"][name]]
        equal(lost, [], "layers that this machine gives and the runtime does not use")
        strict = w.make_agreement("strict", title="strict", lack=", ".join(missing))  # exactly what this machine lacks anyway
        view = w.end_of(w.start_run("means"))
        equal(view["state"], "done", f"the strict agreement on the machine as it is: {view}")
        # The operator takes the right to lock memory away from its runtimes.
        resource.prlimit(w.operator.pid, resource.RLIMIT_MEMLOCK, (0, 0))
        view = w.end_of(w.start_run("means"))
        if view["state"] == "done":
            raise Skip("this kernel locks memory whatever the limit")
        equal((view["state"], view["denial"]["claim"]), ("failed", "configuration.layers"), repr(view))
        check("locked-rows" in view["denial"]["actual"] and "may_lack" in view["denial"]["remedy"], repr(view["denial"]))
        w.agreement = tolerant
        weak = w.start_run("means")
        equal(w.end_of(weak)["state"], "done", "the tolerant agreement")
        file, after = configuration_of(w, weak)
        equal((before["layers"]["locked-rows"], after["layers"]["locked-rows"]), (True, False), "what the receipts say")
        equal(w.analyst.must_json("receipt", "verify", file)["verdict"], "valid", "verdict")
        # Nobody can paint it over: the evidence covers it.
        with open(file, "rb") as data:
            whole = data.read()
        name = b"\x6blocked-rows"
        check(whole.count(name + b"\xf4") == 1, "the receipt says so once")
        with open(file, "wb") as data:
            data.write(whole.replace(name + b"\xf4", name + b"\xf5"))
        painted = w.analyst.cli("receipt", "verify", file, "--json")
        equal((painted.code, painted.json()["verdict"]), (1, "invalid"), repr(painted))
        equal([one["name"] for one in painted.json()["checks"] if not one["ok"]][:1], ["evidence"], "which check")
        check(strict != tolerant, "two agreements")
    finally:
        w.close()


SWITCHES = {"allow_simulated: false": ["allow_simulated: true\nallow_debug: true", "allow_simulated: false\nallow_debug: true", "allow_simulated: false\ndebug: true",
                                       "allow_simulated: false\ninsecure: true", "allow_simulated: false\nrequire_crl: false", "allow_simulated: false\nskip_attestation: true",
                                       "allow_simulated: \"true\"", "allow_simulated: yes", "allow_simulated: false\nallow_simulated: true"],
            "tee: snp": ["tee: sim", "tee: none", "tee: \"\"", "tee: software", "tee: snp, allow_debug: true", "tee: snp, debug: true", "tee: snp, vmpl_max: 3",
                         "tee: snp, allow_migration_agent: true", "tee: snp, require_crl: false", "tee: snp, allow_provisional_firmware: true", "tee: snp, strict_reserved: false",
                         "tee: snp, allow_simulated: true", "tee: snp, may_lack: [seccomp]", "tee: snp, may_lack: [no-dump]", "tee: snp, may_lack: [all]"],
            "min_tcb: {snp: 8}": ["min_tcb: {}, debug: 1", "min_tcb: {snp: -1}", "min_tcb: {debug: 1}"]}


@scenario("T17_every_switch_in_a_production_agreement is refused when it is read", seconds=60)
def production(_):
    w = World(owners=("north",), agree=False)
    try:
        w.make_agreement("sim")  # control: the template itself is in order
        text = w.template_text().replace("allow_simulated: true", "allow_simulated: false")
        text = re.sub(r"tee: sim, measurements: .*}", 'tee: snp, measurements: ["' + "ab" * 48 + '"], min_tcb: {snp: 8}}', text)

        def compiled(changed, name):
            w.write(name + ".yaml", changed)
            return w.analyst.cli("agreement", "new", w.path(name + ".yaml"), "--out", w.path(name + ".agreement"))
        good = compiled(text, "production")
        equal(good.code, 0, repr(good))
        count = 0
        for member, switches in SWITCHES.items():
            equal(text.count(member), 1, member)
            for switch in switches:
                done, count = compiled(text.replace(member, switch), f"switch{count}"), count + 1
                check(done.code in (1, 2) and not os.path.exists(w.path(f"switch{count - 1}.agreement")), f"{switch}: {done!r}")
                check(len(done.err) > 40, f"{switch}: {done!r}")
        # At the operator and the key service, too: what no tool wrote is refused by who receives it.
        with open(w.path("production.agreement"), "rb") as file:
            data = file.read()
        check(b"\x6fallow_simulated\xf4" in data, "the canonical form says no")
        forged = data.replace(b"\x6fallow_simulated\xf4", b"\x6fallow_simulated\xf6")
        for url, path, token in ((w.operator_info["url"], "/api/v1/agreements", w.analyst.identity().token(w.operator_info["audience"])),
                                 (w.owners[0].info["url"], "/v1/agreements", None)):
            answer = http_ask(url, "POST", path, body=forged, token=token)
            check(answer.status in (400, 403), repr(answer))
        print(f"# {count} switches")
    finally:
        w.close()


@scenario("T17_no_daemon_has_a_switch that turns a check off")
def no_switches(_):
    for name in ("cloisterd", "cloister-kms", "cloister"):
        for switch in ("--insecure", "--debug", "--no-verify", "--allow-debug", "--allow-simulated", "--skip-attestation", "--dev", "--no-sandbox"):
            done = run([program(name), switch])
            check(done.code == 2, f"{name} {switch}: {done!r}")
        text = run([program(name), "--help"]).out.lower()
        check(not re.search(r"insecure|skip|no-verify|unsafe", text), f"{name}: {text}")


if __name__ == "__main__":
    raise SystemExit(main(lambda: None))
