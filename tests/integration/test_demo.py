#!/usr/bin/env python3
"""The demo with its attacks holds every step in its time, and leaves nothing behind, neither at its end nor when it is interrupted."""
import os
import signal
import subprocess
import sys
import tempfile
import time

from scenario import check, equal, main, scenario
from world import program, run, until


def children_of(folder):
    """Processes that work below a folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(folder):
                found.append(pid)
        except OSError:
            pass
    return found


@scenario("the whole story with its eight attacks", 120)
def whole():
    with tempfile.TemporaryDirectory() as folder:
        done = run([program("cloister"), "demo", "--attacks"], 110, env={"TMPDIR": folder})
        equal(done.code, 0, repr(done))
        check("Every step held" in done.out, repr(done))
        for claim in ("evidence.measurement", "nonce.unused", "agreement.not_after", "agreement.signatures", "budget.rho", "run.id", "channel.leaf",
                      "channel.binding", "tls.server.spki", "dataset.chunk"):
            check(f"claim     {claim}" in done.out, claim)
        equal(done.out.count("VALID (software TEE"), 2, "receipts")
        equal(os.listdir(folder), [], "files left")
        equal(children_of(folder), [], "processes left")


@scenario("--keep leaves files that can be looked at", 60)
def keep():
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "kept")
        done = run([program("cloister"), "demo", "--keep", place, "--json"], 50)
        equal(done.code, 0, repr(done))
        equal(done.json()["directory"], place)
        receipt = os.path.join(place, "analyst", "model.receipt")
        verified = run([program("cloister"), "--home", os.path.join(place, "analyst", "home"), "receipt", "verify", receipt])
        equal(verified.code, 0, repr(verified))
        ledger = run([program("cloister"), "audit", "ledger", os.path.join(place, "hospital-a", "kms", "kms.db")])
        equal(ledger.code, 0, repr(ledger))
        again = run([program("cloister"), "demo", "--keep", place])
        equal(again.code, 1, "a directory that exists is refused")
        equal(children_of(folder), [], "processes left")


@scenario("Ctrl-C stops and removes everything", 60)
def interrupted():
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen([program("cloister"), "demo", "--attacks"], env=dict(os.environ, TMPDIR=folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until(lambda: len(children_of(folder)) >= 4, 20, "daemons run")
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
        equal(child.returncode, 1, said)
        check(b"interrupted" in said, said)
        equal(os.listdir(folder), [], "files left")
        until(lambda: not children_of(folder), 5, "no process is left")


sys.exit(main())
