"""T25: junk at ten times the honest load, against a key service and against the operator. Honest requests come through, as fast as without it, and memory is flat.

The machine is small and shared, so quiet and loaded phases alternate and their samples are pooled; what is demanded is twice the quiet value plus a few time slices
of the scheduler. Without the limits the loaded value is more than ten times that (remove `failures_per_peer` to see it)."""
import multiprocessing
import os
import socket
import ssl
import threading
import time

from plain_formats import Identity, cbor_encode
from scenario import check, equal, main, scenario
from world import World, address, http_ask, tls, until

HONEST_PER_SECOND = 60
JUNK_PER_SECOND = 10 * HONEST_PER_SECOND
JUNK_FROM = "127.0.0.2"  # another address than the honest client's, as it would be
SLICES_SECONDS = 0.015   # what a busy scheduler may add to one request
LANES = 24
PHASE_SECONDS = 2
PHASES = 2


def setup():
    return World(owners=("north",), row_count=100)


def request(method, path, body=b"", headers=""):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def junk_of(kind, member):
    """Requests that cost most before they are refused."""
    bomb = cbor_encode({"agreement": [0] * 60000})  # as many items as are read at all
    half = os.urandom(300000)
    stranger = Identity("mallory")
    token = "Authorization: Bearer " + stranger.token("00" * 32) + "\r\n"
    if kind == "kms":
        cbor = "Content-Type: application/cbor\r\n"
        return [request("POST", "/v1/release", bomb, cbor), request("POST", "/v1/renew", cbor_encode({"evidence": half}), cbor), request("POST", "/v1/agreements", half),
                request("POST", "/v1/orders", half[:16000]), request("POST", "/v1/commit", bomb[:60000], cbor), request("GET", "/v1/keys", headers=token)]
    return [request("POST", "/api/v1/parties", bomb[:60000]), request("POST", "/api/v1/runs", half[:60000], token), request("GET", "/api/v1/runs", headers=token),
            request("GET", "/api/v1/compute/attestation?nonce=zz"), request("GET", "/nothing")]


def junk_lane(lane, target, requests, stop, tally):
    """One connection after another, at its share of the rate; every 20th is no TLS at all."""
    began, turn, channel = time.monotonic() + lane / JUNK_PER_SECOND, lane, None
    while not stop.is_set():
        turn += 1
        ahead = began + (turn - lane) * LANES / JUNK_PER_SECOND - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        try:
            tally["sent"] += 1
            if turn % 20 == 0:
                with socket.create_connection(target, 2, (JUNK_FROM, 0)) as plain:
                    plain.sendall(os.urandom(200))
                continue
            if channel is None:
                channel = tls().wrap_socket(socket.create_connection(target, 2, (JUNK_FROM, 0)))
                channel.settimeout(2)
            channel.sendall(requests[turn % len(requests)])
            back = channel.recv(65536)
            if not back:
                raise ConnectionError
            tally["held off"] += back.startswith((b"HTTP/1.1 429", b"HTTP/1.1 503"))
        except (OSError, ssl.SSLError):
            tally["closed"] += 1
            if channel is not None:
                channel.close()
            channel = None


def junk_process(url, requests, stop, counts):
    tally = {"sent": 0, "held off": 0, "closed": 0}
    lanes = [threading.Thread(target=junk_lane, args=(lane, address(url), requests, stop, tally)) for lane in range(LANES)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    counts.put(tally)


class Honest:
    """One client with one connection, at its own pace."""

    def __init__(self, url, data):
        self.url, self.data, self.channel = url, data, None
        self.reconnect()

    def reconnect(self):
        if self.channel:
            self.channel.close()
        self.channel = tls().wrap_socket(socket.create_connection(address(self.url), 10))
        self.channel.settimeout(10)

    def phase(self, seconds, samples):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            self.channel.sendall(self.data())
            back = self.channel.recv(65536)
            took = time.monotonic() - began
            equal(back[:12], b"HTTP/1.1 200", "an honest request")
            samples.append(took)
            time.sleep(max(0.0, 1 / HONEST_PER_SECOND - took))


def quantile(samples, share):
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def anonymous_memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:")) * 1024


def measure(world, daemon, url, kind, data):
    honest, quiet, loaded = Honest(url, data), [], []
    honest.phase(0.5, [])
    before = anonymous_memory(daemon.pid)
    fork = multiprocessing.get_context("fork")
    stop, counts = None, fork.Queue()
    requests = junk_of(kind, world.analyst.identity())
    highest = sent = held = 0
    for turn in range(PHASES):
        honest.phase(PHASE_SECONDS, quiet)
        stop = fork.Event()
        junk = fork.Process(target=junk_process, args=(url, requests, stop, counts), daemon=True)
        junk.start()
        honest.phase(2.5 if turn == 0 else 0.5, [])  # until the burst that everybody has is used up
        honest.phase(PHASE_SECONDS, loaded)
        highest = max(highest, anonymous_memory(daemon.pid))
        stop.set()
        tally = counts.get(timeout=20)
        junk.join(10)
        print(f"# junk: {tally}")
        sent, held = sent + tally["sent"], held + tally["held off"] + tally["closed"]
    for share in (0.5, 0.99):
        print(f"# {kind} p{share * 100:.0f}: quiet {quantile(quiet, share) * 1e3:.2f} ms, under junk {quantile(loaded, share) * 1e3:.2f} ms,"
              f" ratio {quantile(loaded, share) / quantile(quiet, share):.2f}")
    print(f"# memory: {before >> 20} MiB before, {highest >> 20} MiB at most")
    check(sent >= 3 * JUNK_PER_SECOND and held > sent // 4, f"only {sent} junk requests could be sent, {held} were held off")
    for share in (0.5, 0.99):
        most = 2 * quantile(quiet, share) + (SLICES_SECONDS if share > 0.5 else SLICES_SECONDS / 5)
        check(quantile(loaded, share) <= most, f"p{share * 100:.0f} {quantile(loaded, share) * 1e3:.1f} ms under junk, {quantile(quiet, share) * 1e3:.1f} ms without")
    check(highest - before <= 48 << 20, f"memory grew from {before >> 20} to {highest >> 20} MiB")
    check(daemon.alive(), "the daemon ended")


@scenario("T25_junk_at_ten_times_load: a key service", seconds=90)
def junk_at_a_key_service(world):
    north = world.owners[0]
    measure(world, north.kms, north.info["url"], "kms", lambda: request("GET", "/v1/nonce"))
    # The refusals tell when to come again, and the address is served again after that.
    until(lambda: http_ask(north.info["url"], "GET", "/v1/nonce").status == 200, 10, "the key service serves")


@scenario("T25_junk_at_ten_times_load: the operator", seconds=90)
def junk_at_the_operator(world):
    member = world.analyst.identity()
    token = member.token(world.operator_info["audience"])
    data = request("GET", "/api/v1/runs", headers=f"Authorization: Bearer {token}\r\n")
    measure(world, world.operator, world.operator_info["url"], "operator", lambda: data)
    run_id = world.start_run("means")
    equal(world.end_of(run_id)["state"], "done", "a run after all that")


if __name__ == "__main__":
    raise SystemExit(main(setup, World.close))
