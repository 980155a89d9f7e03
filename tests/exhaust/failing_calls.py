#!/usr/bin/env python3
"""Fail every allocation and every draw of random bytes of our code once, each in its own run of a unit test program.

Usage: failing_calls.py BUILD [--quick] [--filter TEXT] [--source TEXT] [--verbose]
--filter: only test programs of that name; --source: only calls from places of that name.

A site is where our own source calls (through whatever library) for memory or for random bytes: its two nearest lines in src/. First every
program runs once and lists its sites; then each site is failed once, in the quickest program that reaches it. The test case that meets the
failure may fail, that is right; what must not happen: a crash, a hang, memory freed twice, and random bytes that failed unnoticed.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUICK = ("base_", "wire_cose", "wire_text", "crypto_hpke", "crypto_aead", "collab_manifest", "collab_party", "enclave_frames")
# Kind, our function nearest to the call: why its failure may end otherwise.
EXCEPTIONS = {
    ("m", "algorithms_fetch"): "OpenSSL 3.0 itself crashes where memory ends within its first fetch: at a program's start, before it holds anything",
    ("r", "clo_crypto_ec_public"): "OpenSSL blinds the multiplication with it; the result is the same",
    ("r", "verify_native"): "OpenSSL blinds the verification with it; nothing here is secret",
    ("r", "openssl_verify"): "the same",
    ("r", "clo_crypto_crl_signed_by"): "the same",
}
CRASH = re.compile(rb"Test failed with exception|double free|free\(\): invalid|corrupted|munmap_chunk|stack smashing")


class Runner:
    def __init__(self, build):
        self.shim = os.path.join(build, "tests", "exhaust", "libfailing_calls.so")
        self.work = tempfile.mkdtemp(prefix="clo-failing-")

    def run(self, program, limit, **variables):
        env = dict(os.environ, LD_PRELOAD=self.shim, MALLOC_PERTURB_="165", MALLOC_CHECK_="3", CMOCKA_MESSAGE_OUTPUT="TAP", **variables)
        start = time.monotonic()
        try:
            done = subprocess.run([program], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  timeout=limit)
            return done.returncode, done.stdout, time.monotonic() - start
        except subprocess.TimeoutExpired as late:
            return None, late.stdout or b"", time.monotonic() - start

    def sites(self, program):
        path = os.path.join(self.work, os.path.basename(program) + ".sites")
        code, output, seconds = self.run(program, 300, CLO_SITES=path)
        if code != 0:
            return None, output.decode(errors="replace"), seconds
        if not os.path.exists(path):
            return [], "", seconds
        with open(path, encoding="ascii") as lines:
            return [line.split() for line in lines], "", seconds

    def fail(self, program, site, seconds):
        path = os.path.join(self.work, f"{os.path.basename(program)}.{site}")
        code, output, _ = self.run(program, 30 + 6 * seconds, CLO_FAIL=site, CLO_FAILED=path)
        met = os.path.exists(path) and os.path.getsize(path) > 0
        if met:
            os.unlink(path)
        return code, output, met


def lines_of(build, program, addresses):
    """offset -> path below the root, line, function."""
    wanted = sorted(addresses)
    done = subprocess.run(["addr2line", "-f", "-e", program] + ["0x" + a for a in wanted], stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode().splitlines()
    found = {}
    for address, function, line in zip(wanted, lines[0::2], lines[1::2]):
        path, _, number = line.split(" ")[0].rpartition(":")
        found[address] = (os.path.relpath(os.path.join(build, path), ROOT), number, function.split(".")[0])
    return found


def our_key(kind, near, where):
    """Kind, place and function of the site where our source is nearest to the call, else None: what a test itself asks for is its own affair."""
    ours, function = [], ""
    for address in near:
        if address == "0":
            continue
        path, number, name = where[address]
        if not path.startswith("src" + os.sep):
            break
        function = function or name
        ours.append(f"{path}:{number}")
    return (kind, " < ".join(ours[:2]), function) if ours else None


def collect(build, runner, programs):
    chosen, broken = {}, []
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for program, (sites, output, seconds) in zip(programs, pool.map(runner.sites, programs)):
            if sites is None:
                broken.append((program, output))
                continue
            where = lines_of(build, program, {a for s in sites for a in s[2:] if a != "0"}) if sites else {}
            for kind, ident, *near in sites:
                key = our_key(kind, near, where)
                if key is not None and (key not in chosen or seconds < chosen[key][2]):
                    chosen[key] = (program, ident, seconds)
    return chosen, broken


def judge(kind, function, code, output, met):
    if not met:
        return "skipped", "this run did not come by there again"
    if (kind, function) in EXCEPTIONS:
        return "excepted", EXCEPTIONS[kind, function]
    if code is None:
        return "failed", "still running: a hang"
    if code < 0 or code >= 126 or CRASH.search(output):
        return "failed", f"crashed (exit {code})"
    if kind == "r" and code == 0:
        return "failed", "the random generator failed and nobody noticed"
    return "passed", ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--filter", default="")
    parser.add_argument("--source", default="")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    names = sorted(n for n in os.listdir(os.path.join(build, "tests")) if n.startswith("test_") and not n.endswith(".p") and options.filter in n)
    if options.quick:
        names = [n for n in names if n[len("test_"):].startswith(QUICK)]
    runner = Runner(build)
    chosen, broken = collect(build, runner, [os.path.join(build, "tests", n) for n in names])
    counts = {"passed": 0, "failed": 0, "skipped": 0, "excepted": 0}
    for program, output in broken:
        counts["failed"] += 1
        print(f"not ok - {os.path.basename(program)} does not pass with nothing failing\n" + "\n".join("# " + x for x in output.splitlines()[-15:]))
    order = sorted(item for item in chosen.items() if options.source in item[0][1])
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        results = pool.map(lambda item: runner.fail(*item[1]), order)
        for ((kind, where, function), (program, ident, _)), (code, output, met) in zip(order, results):
            verdict, why = judge(kind, function, code, output, met)
            counts[verdict] += 1
            what = {"m": "allocation", "r": "random bytes"}[kind]
            if verdict == "failed" or options.verbose:
                print(f"{'not ok' if verdict == 'failed' else 'ok'} - {what} at {where} in {os.path.basename(program)} ({ident}) {why}")
                if verdict == "failed":
                    print("\n".join("# " + x for x in output.decode(errors="replace").splitlines()[-6:]))
                sys.stdout.flush()
    print(f"{counts['passed']} sites passed, {counts['failed']} failed, {counts['skipped']} not reached again, {counts['excepted']} excepted with a reason")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
