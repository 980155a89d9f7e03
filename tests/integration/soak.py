#!/usr/bin/env python3
"""A long load on the real daemons: runs one after another, and reads at a fixed rate, whatever the answers take.

The rate is open-loop: every read has a time at which it is due, and its waiting time counts from then, so that a stall is paid by all reads that were due in it. Each daemon's
memory, descriptors and threads are sampled; growth is what the last sixth of the time has over the second third. Exit 0 where all bars hold.

Usage: soak.py BUILD [SECONDS] [READS_PER_SECOND]
"""
import array
import multiprocessing
import os
import random
import socket
import statistics
import sys
import threading
import time

from world import World, address, tls

PROCESSES, THREADS = 2, 12
TIMEOUT = 5
ERRORS_MAX, P99_MAX = 0.01, 0.200
MEMORY_GROWTH, MEMORY_SHARE, DESCRIPTOR_GROWTH, THREAD_GROWTH = 2 << 20, 0.05, 4, 0


class Reader:
    """One kept-alive connection per server."""

    def __init__(self):
        self.context, self.open = tls(), {}

    def get(self, url, path, token):
        """The status of the answer; OSError where there was none."""
        channel = self.open.pop(url, None)
        if channel is None:
            plain = socket.create_connection(address(url), TIMEOUT)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            channel = self.context.wrap_socket(plain)
        try:
            channel.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            status, kept = self._answer(channel)
        except BaseException:
            channel.close()
            raise
        if kept:
            self.open[url] = channel
        else:
            channel.close()
        return status

    @staticmethod
    def _answer(channel):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = channel.recv(65536)
            if not piece:
                raise OSError("closed")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        low = head.lower()
        left = int(low.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]) - len(body)
        while left > 0:
            piece = channel.recv(65536)
            if not piece:
                raise OSError("closed")
            left -= len(piece)
        return int(head[9:12]), b"connection: close" not in low


def read_all(began, seconds, rate, targets, seed, answers):
    """One process: reads that are due every 1/rate seconds from `began`, by threads that take the next due one."""
    sys.setswitchinterval(0.0005)
    lock, state = threading.Lock(), {"next": 0}
    waits, errors = array.array("f"), {}

    def work(number):
        reader, choice = Reader(), random.Random(seed * 1000 + number)
        while True:
            with lock:
                due = began + state["next"] / rate
                state["next"] += 1
            if due >= began + seconds:
                return
            time.sleep(max(0, due - time.monotonic()))
            url, path, token_of = choice.choices(targets[0], targets[1])[0]
            try:
                status = reader.get(url, path, tokens.of(token_of))
                what = None if status == 200 else f"status {status}"
            except (OSError, ValueError, IndexError) as failure:
                what = type(failure).__name__
            with lock:
                waits.append(time.monotonic() - due)
                if what is not None:
                    errors[what] = errors.get(what, 0) + 1
    tokens = Tokens()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    answers.send((waits.tobytes(), errors))


class Tokens:
    """Fresh ones before they expire."""

    def __init__(self):
        self.lock, self.kept = threading.Lock(), {}

    def of(self, who):
        identity, audience = who
        with self.lock:
            token, until = self.kept.get(audience, (None, 0))
            if time.monotonic() > until:
                token, until = identity.token(audience, lifetime=300), time.monotonic() + 200
                self.kept[audience] = token, until
            return token


class Sampler(threading.Thread):
    def __init__(self, daemons, began, every):
        super().__init__(daemon=True)
        self.daemons, self.began, self.every, self.over, self.samples = daemons, began, every, False, []

    @staticmethod
    def of(pid):
        fields = {}
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                name, _, value = line.partition(":")
                if name in ("VmRSS", "RssAnon"):
                    fields[name] = int(value.split()[0]) * 1024
                elif name == "Threads":
                    fields[name] = int(value)
        fields["descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
        return fields

    def run(self):
        while not self.over:
            self.samples.append((time.monotonic() - self.began, {one.name: self.of(one.pid) for one in self.daemons}))
            time.sleep(self.every)

    def middle(self, name, what, since, until):
        return statistics.median(sample[name][what] for at, sample in self.samples if since <= at <= until)


class Runs(threading.Thread):
    """One run after another: started, followed to its end, opened, its receipt verified."""

    def __init__(self, world, until):
        super().__init__(daemon=True)
        self.world, self.until, self.done, self.failed = world, until, 0, []

    def run(self):
        w, file = self.world, self.world.path("soak.receipt")
        while time.monotonic() < self.until:
            try:
                run_id = w.start_run("means")
                view = w.end_of(run_id, 60)
                if view["state"] != "done":
                    raise AssertionError(view["text"])
                w.analyst.must("output", "open", run_id)
                w.analyst.must("receipt", "fetch", run_id, "--out", file)
                w.analyst.must("receipt", "verify", file)
                self.done += 1
            except (AssertionError, OSError) as failure:
                self.failed.append(str(failure)[:300])
            time.sleep(0.5)


def growth_report(sampler, seconds):
    """A table per daemon; what grew beyond the bars."""
    bad = []
    print(f"{'':12}{'RSS MiB':>30}{'anonymous MiB':>30}{'descriptors':>24}{'threads':>18}\n{'':12}" + f"{'start':>10}{'warm':>10}{'end':>10}" * 2 + f"{'start':>8}{'warm':>8}{'end':>8}" + f"{'start':>6}{'warm':>6}{'end':>6}")
    for daemon in sampler.daemons:
        line = f"{daemon.name:12}"
        for what, unit, wide in (("VmRSS", 1 << 20, 10), ("RssAnon", 1 << 20, 10), ("descriptors", 1, 8), ("Threads", 1, 6)):
            start = sampler.samples[0][1][daemon.name][what]
            warm, end = (sampler.middle(daemon.name, what, *span) for span in ((seconds / 3, seconds * 2 / 3), (seconds * 5 / 6, seconds + 1)))
            line += "".join(f"{value / unit:>{wide}.{1 if unit > 1 else 0}f}" for value in (start, warm, end))
            allowed = {"VmRSS": None, "RssAnon": max(MEMORY_GROWTH, MEMORY_SHARE * warm), "descriptors": DESCRIPTOR_GROWTH, "Threads": THREAD_GROWTH}[what]
            if allowed is not None and end - warm > allowed:
                bad.append(f"{daemon.name}: {what} grew from {warm:.0f} to {end:.0f}")
        print(line)
    return bad


def main():
    seconds, rate = (float(sys.argv[2]) if len(sys.argv) > 2 else 1800), (float(sys.argv[3]) if len(sys.argv) > 3 else 1000)
    world = World(row_count=400, price="1/1000", limit="1000", count=100000)
    try:
        return soak(world, seconds, rate)
    finally:
        world.close()


def soak(w, seconds, rate):
    first = w.start_run("means")
    w.end_of(first)
    me = w.analyst.identity(), w.operator_info["audience"]
    url = w.operator_info["url"]
    targets = [(url, "/api/v1/runs/" + first, me), (url, "/api/v1/runs?limit=20", me), (url, "/api/v1/agreements", me), (url, "/log/checkpoint", me)]
    weights = [70, 8, 6, 6]
    for owner in w.owners:
        targets.append((owner.info["url"], "/v1/budgets", (owner.identity(), owner.info["spki"])))
        weights.append(5)
    began = time.monotonic() + 1
    sampler, runs = Sampler(w.daemons, began, max(1, seconds / 200)), Runs(w, began + seconds)
    pipes = [multiprocessing.Pipe(False) for _ in range(PROCESSES)]
    readers = [multiprocessing.Process(target=read_all, args=(began + index / rate, seconds, rate / PROCESSES, (targets, weights), index, pipes[index][1]))
               for index in range(PROCESSES)]
    for one in readers + [sampler, runs]:
        one.start()
    waits, errors = array.array("f"), {}
    for receive, _ in pipes:
        data, some = receive.recv()
        waits.frombytes(data)
        for what, count in some.items():
            errors[what] = errors.get(what, 0) + count
    for one in readers + [runs]:
        one.join()
    sampler.over = True
    sampler.join()
    return judge(waits, errors, runs, growth_report(sampler, seconds), seconds)


def judge(waits, errors, runs, bad, seconds):
    ordered, failed = sorted(waits), sum(errors.values())
    p50, p99, top = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99, 1))
    print(f"reads: {len(ordered)} in {seconds:.0f} s ({len(ordered) / seconds:.0f}/s), errors {100 * failed / len(ordered):.3f} % {errors or ''}, "
          f"waiting p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms, longest {1000 * top:.0f} ms")
    print(f"runs: {runs.done} done, {len(runs.failed)} failed {runs.failed[:3] or ''}")
    if failed >= ERRORS_MAX * len(ordered):
        bad.append(f"errors of reads: {failed} of {len(ordered)}")
    if len(runs.failed) >= ERRORS_MAX * (runs.done + len(runs.failed)):
        bad.append(f"errors of runs: {len(runs.failed)} of {runs.done + len(runs.failed)}")
    if p99 >= P99_MAX:
        bad.append(f"p99 {1000 * p99:.0f} ms")
    for text in bad:
        print("MISSED " + text)
    print("soak: " + ("missed" if bad else "all bars held"), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
