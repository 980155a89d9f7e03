"""Collateral from its vendors, by way of servers on loopback that answer as Intel's and AMD's do: what is fetched verifies, alone and in a signed
bundle; busy, broken, lying and lost servers end in one clear sentence, in bounded time, with nothing written."""
import email.utils
import hashlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

from scenario import Skip, check, equal, main, scenario
from world import ROOT, program, run

SHARED = os.environ.get("CLOISTER_SHARED", os.path.join(ROOT, "..", "shared"))
VECTORS = os.path.join(SHARED, "vectors", "attestation")
CHAIN = "TCB-Info-Issuer-Chain"


def vector(*names):
    path = os.path.join(VECTORS, *names)
    if not os.path.exists(path):
        raise Skip("the published vectors are not beside the project (../shared/vectors)")
    with open(path, "rb") as file:
        return file.read()


class Server:
    """A vendor: paths with queries and what they answer, as a list of (status, headers, body) of which the last one stays."""

    def __init__(self, folder, name):
        key, cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert + ".csr",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], **quiet)
        subprocess.run(["openssl", "x509", "-req", "-in", cert + ".csr", "-CA", os.path.join(folder, "ca.pem"), "-CAkey", os.path.join(folder, "ca.key"),
                        "-copy_extensions", "copy", "-days", "2", "-out", cert], **quiet)
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout
        self.pin, self.answers, self.asked = hashlib.sha256(public).hexdigest(), {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append(self.path)
                queue = outer.answers.get(self.path, [(404, {}, b"nothing here")])
                status, headers, body = queue.pop(0) if len(queue) > 1 else queue[0]
                headers = {key: value() if callable(value) else value for key, value in headers.items()}
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked has had enough
                if "Content-Length" in headers:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients that refuse this server are what is tested
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Place:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="clo-fetch-")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=Loopback test CA",
                        "-keyout", os.path.join(self.folder, "ca.key"), "-out", os.path.join(self.folder, "ca.pem")],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        self.vendor, self.other, self.count = Server(self.folder, "vendor"), Server(self.folder, "other"), 0

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def cli(self, *words, seconds=70):
        return run([program("cloister"), *words], seconds=seconds)

    def fetch(self, case, *more, server=None, pin=None):
        """Where it was to be written, how it ended, and in how many seconds."""
        self.count += 1
        server = server or self.vendor
        out, began = self.path(f"out-{self.count}"), time.monotonic()
        done = self.cli("attest", "fetch", "--type", case.type, "--evidence", case.evidence, "--at", case.at, "--from", server.url, "--pin", pin or server.pin,
                        "--out-dir", out, *more)
        return out, done, time.monotonic() - began

    def refused(self, case, code, *words, longest=10, **more):
        out, done, took = self.fetch(case, **more)
        equal(done.code, code, repr(done))
        for word in words:
            check(word in done.out + done.err, f"no \"{word}\": {done!r}")
        check(not os.path.exists(out) or os.listdir(out) == [], f"something was written: {done!r}")
        check(took < longest, f"{took} s: {done!r}")
        return done

    def close(self):
        self.vendor.close()
        self.other.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Intel:
    """Evidence of the vectors, and the vendor's answers that belong to it."""

    def __init__(self, place, tee, quote, names, at, fmspc, ca):
        self.type, self.at, self.evidence = tee, at, os.path.join(VECTORS, tee, quote)
        vector(tee, quote)
        files = [vector(tee, f"{names}.{ending}") for ending in ("tcbinfo.json", "qeidentity.json", "pckca.crl", "rootca.crl", "tcbsign-chain.pem")]
        self.tcb = f"/{tee}/certification/v4/tcb?fmspc={fmspc}"
        self.identity, self.list = f"/{tee}/certification/v4/qe/identity", f"/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"
        self.root, self.chain = "/sgx/certification/v4/rootcacrl", urllib.parse.quote(files[4])
        place.vendor.asked.clear()
        self.answers = place.vendor.answers = {self.tcb: [(200, {CHAIN: self.chain}, files[0])], self.identity: [(200, {}, files[1])],
                                               self.list: [(200, {}, files[2])], self.root: [(200, {}, files[3])]}


def tdx(place):
    return Intel(place, "tdx", "phala-tdx-v4.quote.bin", "phala-tdx-2025-06", "2025-07-04T10:16:31Z", "b0c06f000000", "platform")


class Amd:
    type = "snp"

    def __init__(self, place, name, product, chain, at):
        self.at, self.evidence, report = at, os.path.join(VECTORS, "snp", name + ".report.bin"), vector("snp", name + ".report.bin")
        tcb, chip = report[0x180:0x188], report[0x1a0:0x1e0]
        parts = [("bl", 0), ("tee", 1), ("snp", 6), ("ucode", 7)] if product != "Turin" else [("fmc", 0), ("bl", 1), ("tee", 2), ("snp", 3), ("ucode", 7)]
        query = "&".join(f"{part}SPL={tcb[index]:02d}" for part, index in parts)
        self.vcek = f"/vcek/v1/{product}/{chip[:8 if product == 'Turin' else 64].hex()}?{query}"
        self.list = f"/vcek/v1/{product}/crl"
        place.vendor.asked.clear()
        self.answers = place.vendor.answers = {self.vcek: [(200, {}, vector("snp", name + ".ek.der"))],
                                               f"/vcek/v1/{product}/cert_chain": [(200, {}, vector("snp", chain))]}


def milan(place):
    return Amd(place, "oak-milan-v3", "Milan", "ask_ark_milan.pem", "2025-02-14T21:21:54Z")


def verified(place, case, out):
    """The fetched files, as a person would give them, and in a bundle that somebody signed."""
    with open(os.path.join(out, "index.json")) as file:
        index = json.load(file)
    words = [word for one in index for word in ("--collateral", f"{one['role']}={os.path.join(out, one['file'])}")]
    policy = place.path("policy.json")
    with open(policy, "w") as file:
        json.dump({"allow_trailing_bytes": True, "allow_debug": True, "accept_tcb_status": "any except Revoked"}, file)
    done = place.cli("attest", "verify", "--type", case.type, "--evidence", case.evidence, "--at", case.at, "--policy", policy, *words, "--json")
    equal((done.code, done.json()["verdict"]), (0, "valid"), repr(done))
    home, bundle = place.path("home"), place.path("bundle.cose")
    if not os.path.exists(home):
        done = place.cli("--home", home, "party", "new", "north")
        equal(done.code, 0, repr(done))
    done = place.cli("--home", home, "attest", "bundle", out, "--version-number", "1", "--out", bundle, "--json")
    equal((done.code, done.json()["items"]), (0, len(index)), repr(done))
    done = place.cli("attest", "bundle", bundle, "--show", done.json()["collateral_key"], "--json")
    equal((done.code, [one["role"] for one in done.json()]), (0, [one["role"] for one in index]), repr(done))
    claims = place.cli("attest", "inspect", "--type", case.type, case.evidence, "--json").json()["claims"]
    for path, value in [pair for one in index for pair in one["when"].items()]:
        at = claims
        for step in path.split("."):
            at = at[step]
        equal(at, value, f"the condition {path}")
    return index


@scenario("Intel: what the service gives for a TDX and an SGX quote verifies them, by itself and in a signed bundle")
def intel(place):
    case = tdx(place)
    out, done, _ = place.fetch(case)
    equal(done.code, 0, repr(done))
    equal(place.vendor.asked, [case.tcb, case.identity, case.list, case.root], "what was asked")
    index = verified(place, case, out)
    equal({one["role"]: one["when"] for one in index},
          {"tcb_info": {"pck.fmspc": "b0c06f000000"}, "qe_identity": {}, "tcb_signing_chain": {}, "root_ca_crl": {}, "pck_ca_crl": {"pck.fmspc": "b0c06f000000"}}, "index")
    with open(os.path.join(out, "tcb_info.json"), "rb") as file:
        equal(file.read(), case.answers[case.tcb][0][2], "byte for byte")
    claims = place.cli("attest", "inspect", "--type", "sgx", os.path.join(VECTORS, "sgx", "phala-sgx-v3.quote.bin"), "--json").json()["claims"]
    for ca in ("platform", "processor"):
        case = Intel(place, "sgx", "phala-sgx-v3.quote.bin", "phala-sgx-2025-06", "2025-07-04T10:28:44Z", claims["pck"]["fmspc"], ca)
        out, done, _ = place.fetch(case, "--json")
        if done.code == 0:
            break
    equal((done.code, done.json()["verdict"]), (0, "valid"), repr(done))
    verified(place, case, out)


@scenario("AMD: the VCEK and chain of Milan, Genoa and Turin reports verify them; a processor that the report does not name is named by hand")
def amd(place):
    for case in (milan(place), Amd(place, "oak-genoa-v5", "Genoa", "ask_ark_genoa.pem", "2025-09-06T17:21:41Z"),
                 Amd(place, "oak-turin-v5", "Turin", "ask_ark_turin_vcek.pem", "2025-08-16T17:04:46Z")):
        place.vendor.answers = case.answers
        out, done, _ = place.fetch(case)
        equal(done.code, 0, repr(done))
        check("no revocation list" in done.out, f"a server without a list: {done!r}")
        index = verified(place, case, out)
        equal([(one["role"], sorted(one["when"])) for one in index], [("vcek_or_vlek", ["chip_id", "reported_tcb"]), ("ask_ark_chain", ["chip_id"])], "index")
    old = Amd(place, "trustee-milan-v2", "Milan", "ask_ark_milan.pem", "2023-02-23T17:58:26Z")
    place.refused(old, 2, "--product")
    out, done, _ = place.fetch(old, "--product", "Milan")
    equal(done.code, 0, repr(done))
    verified(place, old, out)
    vlek = os.path.join(VECTORS, "snp", "trustee-milan-vlek-v3.report.bin")
    done = place.cli("attest", "fetch", "--type", "snp", "--evidence", vlek, "--from", place.vendor.url, "--pin", place.vendor.pin, "--out-dir", place.path("vlek"))
    check(done.code == 2 and "VCEK" in done.err, repr(done))


@scenario("429 and 503 are waited for, in seconds and until a date, and said but for --quiet")
def busy(place):
    case = milan(place)
    case.answers[case.vcek].insert(0, (429, {"Retry-After": "1"}, b"slow down"))
    out, done, took = place.fetch(case)
    equal(done.code, 0, repr(done))
    check(took >= 1 and "asked again in 1 s" in done.out, f"{took} s: {done!r}")
    verified(place, case, out)
    case = tdx(place)
    soon = lambda: email.utils.formatdate(time.time() + 3, usegmt=True)  # noqa: E731
    case.answers[case.identity].insert(0, (503, {"Retry-After": soon}, b""))
    out, done, took = place.fetch(case, "--quiet")
    equal((done.code, done.out, done.err), (0, "", ""), repr(done))
    check(took >= 1.5, f"{took} s")
    equal(place.vendor.asked.count(case.identity), 2, repr(place.vendor.asked))
    verified(place, case, out)


@scenario("a server that stays busy, or asks for too long a wait, is given up soon and nothing is written")
def endless(place):
    case = milan(place)
    case.answers[case.vcek] = [(429, {"Retry-After": "1"}, b"")]
    place.refused(case, 3, "asked 3 times", "429")
    equal(len(place.vendor.asked), 3, repr(place.vendor.asked))
    for wait in ("3600", email.utils.formatdate(time.time() + 7200, usegmt=True), "99999999999999"):
        case = tdx(place)
        case.answers[case.root] = [(503, {"Retry-After": wait}, b"")]
        place.refused(case, 3, "busy", "503", longest=5)
    for nonsense in ("soon", "-5", ""):
        case = milan(place)
        case.answers[case.vcek].insert(0, (503, {"Retry-After": nonsense}, b""))
        _, done, _ = place.fetch(case)
        equal(done.code, 0, f"{nonsense!r}: {done!r}")


@scenario("truncated, oversized, empty and garbled answers are refused and nothing is written")
def broken(place):
    case = tdx(place)
    whole = case.answers[case.tcb][0][2]
    for body in (whole[:len(whole) // 2], whole[:-1], b"{}", b"<html>", whole.replace(b"UpToDate", b"Revoked ", 1)):
        case = tdx(place)
        case.answers[case.tcb] = [(200, {CHAIN: case.chain}, body)]
        place.refused(case, 1, "collateral.")
    case.answers[case.tcb] = [(200, {CHAIN: case.chain, "Content-Length": str(len(whole) + 1000)}, whole)]
    place.refused(case, 3, "cannot be reached")
    case.answers[case.tcb] = [(200, {CHAIN: case.chain}, b"")]
    place.refused(case, 2, "nothing")
    for at, size in ((case.tcb, 256 << 10), (case.list, 1 << 20)):
        case = tdx(place)
        case.answers[at] = [(200, {CHAIN: case.chain}, b" " * (size + 1))]
        place.refused(case, 4, "more bytes")
    for chain in (None, "%2", "%zz", "-----BEGIN"):
        case = tdx(place)
        case.answers[case.tcb] = [(200, {} if chain is None else {CHAIN: chain}, whole)]
        place.refused(case, 1 if chain == "-----BEGIN" else 2)
    case = milan(place)
    case.answers[case.vcek] = [(200, {}, case.answers[case.vcek][0][2][:-1])]
    place.refused(case, 1, "collateral.")


@scenario("wrong signatures, another platform's files and a list that AMD did not sign are refused and nothing is written")
def lying(place):
    case = tdx(place)
    for at in (case.tcb, case.identity, case.list, case.root):
        case = tdx(place)
        status, headers, body = case.answers[at][0]
        flipped = bytearray(body)
        if at in (case.tcb, case.identity):
            text = json.loads(body)["signature"].encode()
            spot = body.index(text) + 70
            flipped[spot] = ord("1") if flipped[spot] != ord("1") else ord("2")
        else:
            flipped[-5] ^= 1
        case.answers[at] = [(status, headers, bytes(flipped))]
        place.refused(case, 1, "collateral.")
    case = tdx(place)
    other = vector("sgx", "phala-sgx-2025-06.tcbinfo.json")
    case.answers[case.tcb] = [(200, {CHAIN: case.chain}, other)]
    place.refused(case, 1, "collateral.tcb_info")
    case = tdx(place)
    case.at = "2027-01-01T00:00:00Z"
    place.refused(case, 1, "collateral.")
    case = milan(place)
    case.answers[case.vcek] = [(200, {}, vector("snp", "trustee-milan-v2.ek.der"))]
    place.refused(case, 1, "collateral.")
    case = milan(place)
    case.answers[case.list] = [(200, {}, vector("tdx", "phala-tdx-2025-06.rootca.crl"))]
    place.refused(case, 1, "collateral.")


@scenario("redirects, other keys, unknown authorities, unknown platforms and lost servers end in one sentence")
def lost(place):
    case = milan(place)
    place.other.answers, place.other.asked = case.answers, []
    for status in (301, 302, 307):
        case.answers = place.vendor.answers = {case.vcek: [(status, {"Location": place.other.url + case.vcek}, b"over there")]}
        place.refused(case, 1, "sends elsewhere", str(status))
    equal(place.other.asked, [], "the other server")
    case = milan(place)
    place.refused(case, 1, "tls.pin", pin=place.other.pin)
    done = place.cli("attest", "fetch", "--type", "snp", "--evidence", case.evidence, "--from", place.vendor.url, "--out-dir", place.path("no-pin"))
    check(done.code == 1 and "tls.certificate" in done.out + done.err and not os.path.exists(place.path("no-pin")), repr(done))
    place.vendor.answers = {}
    place.refused(case, 3, "does not know this platform")
    case.answers = place.vendor.answers = {case.vcek: [(500, {}, b"{}")]}
    place.refused(case, 3, "500")
    gone = Server(place.folder, "gone")
    gone.close()
    place.refused(case, 3, "cannot be reached", server=gone)


@scenario("wrong words and evidence that is broken itself are refused before any server is asked")
def words(place):
    case = tdx(place)
    base = ["attest", "fetch", "--evidence", case.evidence, "--out-dir", place.path("never")]
    server = ["--from", place.vendor.url, "--pin", place.vendor.pin]
    for more, code in ((["--type", "nitro"], 2), ([], 2), (["--type", "tdx", "--from", place.vendor.url.replace("https", "http")], 2),
                       (["--type", "tdx", "--from", place.vendor.url + "/mirror"], 2), (["--type", "tdx", "--pin", place.vendor.pin], 2),
                       (["--type", "tdx", "--from", place.vendor.url, "--pin", "12"], 2), (["--type", "tdx", "--nonce", "00" * 32, *server], 2),
                       (["--type", "sgx", *server], 2)):
        done = place.cli(*base, *more)
        equal(done.code, code, repr(done))
    for name in ("phala-tdx-v4-sig-bitflip", "phala-tdx-v4-truncated-header", "phala-tdx-v4-pck-cert-garbled"):
        done = place.cli("attest", "fetch", "--type", "tdx", "--evidence", os.path.join(VECTORS, "tdx", name + ".quote.bin"), "--at", case.at, *server,
                         "--out-dir", place.path("never"))
        check(done.code in (1, 2), repr(done))
    equal((place.vendor.asked, os.path.exists(place.path("never"))), ([], False), "asked or written")


if __name__ == "__main__":
    raise SystemExit(main(Place, Place.close))
