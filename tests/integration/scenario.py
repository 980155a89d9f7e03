"""Scenarios as TAP lines. A script declares functions with @scenario("name"), then calls main(); each is bounded in time."""
import signal
import sys
import time
import traceback

_all = []


class Skip(Exception):
    pass


class Late(Exception):
    pass


def scenario(name, seconds=60):
    def declare(function):
        _all.append((name, seconds, function))
        return function
    return declare


def _bell(_signal, _frame):
    raise Late("the scenario did not end in its time")


def check(condition, detail=""):
    if not condition:
        raise AssertionError(detail)


def equal(actual, wanted, what=""):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r} instead of {wanted!r}")


def main(setup=None, teardown=None):
    """Run every scenario with what `setup` made; exit 0 only if none failed. SCENARIO narrows by part of the name."""
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    signal.signal(signal.SIGALRM, _bell)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    chosen = [one for one in _all if wanted in one[0]]
    print(f"1..{len(chosen)}", flush=True)
    failed, world = 0, None
    try:
        try:
            signal.alarm(90)
            world = setup() if setup else None
        except BaseException:  # noqa: B902 - whatever it was, every scenario has failed
            traceback.print_exc(file=sys.stdout)
            for number, (name, _, _) in enumerate(chosen, 1):
                print(f"not ok {number} - {name}")
            return 1
        finally:
            signal.alarm(0)
        for number, (name, seconds, function) in enumerate(chosen, 1):
            began = time.monotonic()
            try:
                signal.alarm(seconds)
                function(world) if setup else function()
                print(f"ok {number} - {name}")
            except Skip as reason:
                print(f"ok {number} - {name} # SKIP {reason}")
            except Exception:
                signal.alarm(0)
                failed += 1
                traceback.print_exc(file=sys.stdout)
                print(f"not ok {number} - {name}")
            finally:
                signal.alarm(0)
            print(f"# {time.monotonic() - began:.1f} s", flush=True)
    finally:
        signal.alarm(0)
        if teardown and world is not None:
            teardown(world)
    return 1 if failed else 0
