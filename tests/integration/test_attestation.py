"""The verification service of the operator: nonces, verdicts and their tokens, signed policies and reference values, recorded evidence, and the platform's own
attestation, which stops all runs where it fails."""
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess

from plain_formats import Identity, cbor_decode, cbor_encode, cose_sign1
from scenario import check, equal, main, scenario
from world import World, http_ask, program, run, until

BASE = "/api/v1/attestation/"
DOMAIN = "cloister/v1 attestation"


class Place:
    def __init__(self):
        self.world = w = World(owners=("north",), row_count=60)
        self.north, self.analyst, self.url = w.owners[0], w.analyst, w.operator_info["url"]
        w.operator.stop()
        self.enclave = w.path("runtime-copy")
        shutil.copy(program("cloister-enclave"), self.enclave)
        file = os.path.join(w.operator_home, "cloisterd.yaml")
        with open(file) as text:
            kept = text.read()
        with open(file, "w") as text:
            text.write(re.sub(r'enclave: ".*"', f'enclave: "{self.enclave}"', kept) + "reattest_seconds: 1\nrecord_evidence: 2\n")
        w.operator.start()
        self.names = 0

    def get(self, path, **more):
        return http_ask(self.url, "GET", path, **more)

    def post(self, path, data, kind="application/json", **more):
        return http_ask(self.url, "POST", path, body=data if isinstance(data, bytes) else json.dumps(data).encode(), headers={"Content-Type": kind}, **more)

    def verify(self, **members):
        return self.post(BASE + "verify", members)

    def nonce(self):
        answer = self.get(BASE + "nonce")
        equal(answer.status, 200, repr(answer))
        return answer.json()["nonce"]

    def evidence(self, nonce):
        return self.get("/api/v1/compute/attestation?nonce=" + nonce).json()["attestation_report"]

    def terms(self):
        tee = self.world.operator_info["tee"]
        return {"allow_simulated": True, "roots": [bytes.fromhex(tee["root_sha256"])], "measurements": [bytes.fromhex(tee["measurement"])]}

    def policy_file(self, party, name, version, policy):
        payload = {"format": "cloister-attest-policy/1", "name": name, "version": version, "policy": policy}
        return cose_sign1(party.identity().seed, "application/cloister-attest-policy", cbor_encode(payload))

    def push(self, party, file, what="policies"):
        return party.ask("POST", BASE + what, body=file, headers={"Content-Type": "application/cose"})

    def policy(self):
        """The name of a policy under which this operator's evidence is good."""
        self.names += 1
        name = f"sim-{self.names}"
        answer = self.push(self.north, self.policy_file(self.north, name, 1, self.terms()))
        equal(answer.status, 200, repr(answer))
        return name

    def close(self):
        self.world.close()


def token_parts(token):
    def part(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    header, claims, signature = token.split(".")
    return json.loads(part(header)), json.loads(part(claims)), (header + "." + claims).encode(), part(signature)


def es256_holds(place, jwk, message, signature):
    """By openssl, which knows nothing of this project."""
    def number(data):
        data = data.lstrip(b"\0") or b"\0"
        data = b"\0" + data if data[0] & 0x80 else data
        return b"\x02" + bytes([len(data)]) + data
    point = b"\x04" + b"".join(base64.urlsafe_b64decode(jwk[c] + "==") for c in "xy")
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    inner = number(signature[:32]) + number(signature[32:])
    w = place.world
    key, sig, text = w.write("key.der", spki), w.write("sig.der", b"\x30" + bytes([len(inner)]) + inner), w.write("message", message)
    return subprocess.run(["openssl", "dgst", "-sha256", "-verify", key, "-keyform", "DER", "-signature", sig, text], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


@scenario("evidence over the service's nonce gets a verdict and a token that another program verifies")
def verdict(place):
    name, nonce = place.policy(), place.nonce()
    answer = place.verify(type="sim", evidence={"bundle": place.evidence(nonce)}, nonce=nonce, domain=DOMAIN, policy=name)
    equal(answer.status, 200, repr(answer))
    got = answer.json()
    equal((got["result"]["verdict"], got["result"]["tee"], got["token_type"]), ("valid", "sim", "ear-jwt"), repr(answer))
    keys = place.get(BASE + "certs").json()["keys"]
    header, claims, message, signature = token_parts(got["token"])
    key = [one for one in keys if one["kid"] == header["kid"]][0]
    equal(header["alg"], "ES256", "alg")
    check(es256_holds(place, key, message, signature), "the token's signature")
    check(not es256_holds(place, key, message + b"x", signature), "a changed token")
    equal(claims["eat_profile"], "tag:github.com,2023:veraison/ear", repr(claims))
    equal(claims["iss"], place.url, "issuer")
    check(claims["exp"] > claims["iat"], repr(claims))
    submodule = next(iter(claims["submods"].values()))
    check(submodule["ear.status"] != "affirming" and submodule["ear.status"] != 2, f"software is no hardware: {submodule}")
    for accept in ("ear-cwt", "maa-jwt"):
        nonce = place.nonce()
        other = place.verify(type="sim", evidence={"bundle": place.evidence(nonce)}, nonce=nonce, domain=DOMAIN, policy=name, accept=accept).json()
        equal((other["result"]["verdict"], other["token_type"], isinstance(other["token"], str)), ("valid", accept, True), repr(other)[:300])
    # The instructions of the evidence itself, offline.
    nonce = os.urandom(16).hex()
    w = place.world
    bundle = w.write("evidence.bin", base64.b64decode(place.evidence(nonce)))
    terms = {key: [one.hex() for one in value] if isinstance(value, list) else value for key, value in place.terms().items()}
    terms["expected_report_data"] = hashlib.sha512(DOMAIN.encode() + b"\0" + bytes.fromhex(nonce)).hexdigest()
    done = place.analyst.cli("attest", "verify", "--type", "sim", "--evidence", bundle, "--policy", w.write("policy.json", json.dumps(terms)), "--json")
    equal((done.code, done.json()["verdict"]), (0, "valid"), repr(done))


@scenario("what is not right is refused: by its class in the verdict, or by a problem that says what to do")
def refusals(place):
    name = place.policy()
    nonce = place.nonce()
    evidence = {"bundle": place.evidence(nonce)}
    refused = place.verify(type="sim", evidence=evidence, nonce=nonce, domain=DOMAIN)  # the strictest policy
    equal((refused.status, refused.json()["result"]["reason"]), (200, "simulated"), repr(refused))
    _, claims, _, _ = token_parts(refused.json()["token"])
    equal(next(iter(claims["submods"].values()))["ear.status"], "contraindicated", repr(claims))
    again = place.verify(type="sim", evidence=evidence, nonce=nonce, domain=DOMAIN, policy=name)
    equal((again.status, again.json()["claim"]), (403, "attestation.nonce"), f"a nonce used twice: {again!r}")
    for bad in (os.urandom(32).hex(), "00" * 32, nonce[:-2] + "00"):
        answer = place.verify(type="sim", evidence=evidence, nonce=bad, domain=DOMAIN, policy=name)
        equal((answer.status, answer.json()["claim"]), (403, "attestation.nonce"), f"{bad}: {answer!r}")
    other = place.verify(type="sim", evidence=evidence, nonce=place.nonce(), domain=DOMAIN, policy=name).json()
    equal((other["result"]["verdict"], other["result"]["reason"]), ("invalid", "report_data_mismatch"), "evidence over another nonce")
    unbound = place.verify(type="sim", evidence=evidence, policy=name).json()
    equal((unbound["result"]["verdict"], unbound["result"]["reason"]), ("invalid", "binding"), "evidence over no nonce at all")
    azure = place.verify(type="sim", evidence=evidence, policy=name, accept="maa-jwt").json()
    equal(azure["token"], None, "no token under Azure's names for a bad verdict")
    for members, status in (({"type": "sim"}, 400), ({"type": "sim", "evidence": 7}, 400), ({"type": "sim", "evidence": "%%%"}, 400), ({"type": "warp", "evidence": ""}, 400),
                            ({"type": "sim", "evidence": evidence, "policy": "nobody"}, 404), ({"type": "sim", "evidence": evidence, "colour": 1}, 400),
                            ({"type": "sim", "evidence": evidence, "accept": "gold"}, 400), ({"type": "sim", "evidence": evidence, "nonce": "12"}, 400),
                            ({"type": "sim", "evidence": {f"r{i}": "" for i in range(40)}}, 400), ({"type": "sim", "evidence": evidence, "reference_values": "nobody"}, 404)):
        answer = place.verify(**members)
        check(answer.status == status and answer.headers["content-type"] == "application/problem+json", f"{str(members)[:80]}: {answer!r}")
    for role in ("jwks", "iak_public", "cpak_public", "attestation_key"):
        for members in ({"evidence": {"report": "", role: ""}}, {"evidence": {"report": ""}, "collateral": {role: ""}}):
            answer = place.verify(type="psa", **members)
            equal((answer.status, answer.json()["claim"]), (403, "attestation.collateral"), f"a caller's own {role}: {answer!r}")
    equal(place.post(BASE + "verify", b"{" * 100000).status, 400, "a JSON bomb")
    equal(place.post(BASE + "verify", b"\x9f" * 100000, "application/cbor").status, 400, "a CBOR bomb")
    equal(place.post(BASE + "verify", b"x" * (3 << 20)).status, 413, "too large")
    for kind in ("snp", "tdx", "sgx", "nitro", "tpm", "nvidia-gpu", "psa", "cca"):
        answer = place.verify(type=kind, evidence=base64.b64encode(os.urandom(700)).decode())
        equal((answer.status, answer.json()["result"]["verdict"]), (200, "invalid"), f"{kind}: {answer!r}")


@scenario("policies are versioned, signed by one owner, in the log, and survive kill -9")
def policies(place):
    first = place.policy_file(place.north, "site", 1, place.terms())
    size = int(place.get("/log/checkpoint").body.decode().splitlines()[1])
    equal(place.push(place.north, first).json()["version"], 1, "version")
    check(int(place.get("/log/checkpoint").body.decode().splitlines()[1]) > size, "the log has it")
    equal(place.push(place.north, first).status, 200, "the same again")
    for what, party, file, status in (
            ("a gap", place.north, place.policy_file(place.north, "site", 3, place.terms()), 409),
            ("another first version", place.north, place.policy_file(place.north, "site", 1, {}), 409),
            ("another's name", place.analyst, place.policy_file(place.analyst, "site", 2, {}), 409),
            ("another's signature", place.analyst, place.policy_file(place.north, "site", 2, {}), 403),
            ("the strictest policy's name", place.north, place.policy_file(place.north, "default", 1, {}), 400),
            ("an unknown member", place.north, place.policy_file(place.north, "odd", 1, {"allow_all": True}), 400),
            ("a leniency of tests", place.north, place.policy_file(place.north, "odd", 1, {"custom_root": True}), 400),
            ("no COSE", place.north, b"policy", 400)):
        answer = place.push(party, file)
        check(answer.status == status and answer.json()["detail"], f"{what}: {answer!r}")
    stranger = Identity("nobody")
    equal(http_ask(place.url, "POST", BASE + "policies", body=first, headers={"Content-Type": "application/cose"},
                   token=stranger.token(place.world.operator_info["audience"])).status, 401, "a stranger")
    second = place.policy_file(place.north, "site", 2, dict(place.terms(), allow_debug=True))
    equal(place.push(place.north, second).json()["version"], 2, "the next version")
    place.world.operator.kill()
    place.world.operator.start()
    newest = place.get(BASE + "policies/site")
    equal(newest.body, second, "the newest")
    equal(place.get(BASE + "policies/site?version=1").body, first, "the first")
    equal(place.get(BASE + "policies/site", headers={"If-None-Match": newest.headers["etag"]}).status, 304, "unchanged")
    equal(place.get(BASE + "policies/elsewhere").status, 404, "unknown")
    check(("site", 2) in {(one["name"], one["version"]) for one in place.get(BASE + "policies").json()["policies"]}, "the list")


@scenario("reference values narrow a policy and never widen it")
def reference_values(place):
    name = place.policy()
    good, nonce = place.terms()["measurements"][0], place.nonce()
    evidence = place.verify(type="sim", evidence={"bundle": place.evidence(nonce)}, nonce=nonce, domain=DOMAIN, policy=name).json()
    equal(evidence["result"]["claims"]["measurement"], good.hex(), "the claim to be demanded")
    for values, measurement, verdict in (("right", good, "valid"), ("wrong", bytes(48), "invalid")):
        fields = {"format": "cloister-reference-values/1", "name": values, "version": 1, "issued": 1700000000, "expires": 0,
                  "values": [{"name": "cloister-enclave", "version": "1", "tee": "sim", "environment": {}, "claims": {"measurement": [measurement]}}]}
        file = cose_sign1(place.north.identity().seed, "application/cloister-reference-values", cbor_encode(fields))
        pushed = place.push(place.north, file, "reference-values")
        equal(pushed.status, 200, repr(pushed))
        nonce = place.nonce()
        answer = place.verify(type="sim", evidence={"bundle": place.evidence(nonce)}, nonce=nonce, domain=DOMAIN, policy=name, reference_values=values)
        equal(answer.json().get("result", {}).get("verdict"), verdict, f"{values}: {answer!r}") if answer.status == 200 else equal((verdict, answer.status), ("invalid", 403), repr(answer))


@scenario("a bundle of collateral is taken from the pinned key alone, only upwards, and fills what evidence lacks; the command line publishes and signs")
def collateral(place):
    w = place.world
    done = place.north.must_json("attest", "publish", "policy", "published", w.write("p.json", json.dumps({"allow_simulated": True})))
    equal(done["version"], 1, "the first version")
    equal(place.north.must_json("attest", "publish", "policy", "published", w.path("p.json"))["version"], 2, "the next")
    values = {"values": [{"name": "x", "version": "1", "tee": "sim", "environment": {}, "claims": {"measurement": ["ab" * 48]}}]}
    equal(place.north.must_json("attest", "publish", "values", "published", w.write("v.json", json.dumps(values)))["version"], 1, "values")
    check(place.north.cli("attest", "publish", "policy", "published", w.write("odd.json", '{"allow_all": true}')).code == 2, "an unknown member")
    folder = w.path("collateral")
    os.makedirs(folder)
    nonce = place.nonce()
    whole = cbor_decode(base64.b64decode(place.evidence(nonce)))
    with open(os.path.join(folder, "vcek.der"), "wb") as file:
        file.write(whole["ek"])
    with open(os.path.join(folder, "crl.der"), "wb") as file:
        file.write(whole["crl"])
    items = [{"type": "sim", "role": "vcek_or_vlek", "file": "vcek.der"}, {"type": "sim", "role": "crl", "file": "crl.der"},
             {"type": "tdx", "role": "crl", "file": "vcek.der", "when": {"pck.fmspc": "00806f050000"}}]
    w.write("collateral/index.json", json.dumps(items))
    bundles = {}
    for version in (1, 2):
        made = place.north.must_json("attest", "bundle", folder, "--version-number", str(version), "--out", w.path(f"bundle{version}"))
        bundles[version] = w.path(f"bundle{version}")
    shown = place.analyst.must("attest", "bundle", bundles[2], "--show", made["collateral_key"])
    check("vcek_or_vlek" in shown.out and "fmspc" in shown.out, repr(shown))
    check(place.analyst.cli("attest", "bundle", bundles[2], "--show", "00" * 32).code == 1, "another key")
    unpinned = place.north.cli("attest", "publish", "collateral", bundles[1])
    check(unpinned.code != 0 and "collateral_key" in unpinned.err, repr(unpinned))
    equal(place.get(BASE + "collateral").status, 401, "without a token")
    equal(place.north.ask("GET", BASE + "collateral").status, 404, "nothing is installed")
    w.operator.stop()
    with open(os.path.join(w.operator_home, "cloisterd.yaml"), "a") as file:
        file.write(f'collateral_key: "{made["collateral_key"]}"\n')
    w.operator.start()
    name = place.policy()

    def bare(nonce):
        part = cbor_decode(base64.b64decode(place.evidence(nonce)))
        chain = b"".join(b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(one) + b"-----END CERTIFICATE-----\n" for one in part["chain"])
        return place.verify(type="sim", evidence={"report": base64.b64encode(part["report"]).decode()}, collateral={"ask_ark_chain": base64.b64encode(chain).decode()}, nonce=nonce,
                            domain=DOMAIN, policy=name).json()["result"]
    equal(bare(place.nonce())["reason"], "collateral_missing", "before")
    place.north.must("attest", "publish", "collateral", bundles[2])
    equal(bare(place.nonce())["verdict"], "valid", "the bundle has what is missing")
    older = place.north.cli("attest", "publish", "collateral", bundles[1])
    check(older.code != 0 and "version" in older.err, repr(older))
    forged = place.analyst.must_json("attest", "bundle", folder, "--version-number", "9", "--out", w.path("forged"))
    check(place.north.cli("attest", "publish", "collateral", forged["file"]).code == 1, "another signer")
    w.operator.kill()
    w.operator.start()
    equal(place.north.ask("GET", BASE + "collateral").json()["version"], 2, "after kill -9")
    equal(bare(place.nonce())["verdict"], "valid", "after kill -9")


@scenario("evidence that a party sent is kept for replay, the newest only, and for that party alone")
def records(place):
    w = place.world
    token = place.north.identity().token(w.operator_info["audience"])
    ids = []
    for _ in range(3):
        nonce = place.nonce()
        body = json.dumps({"type": "sim", "evidence": {"bundle": place.evidence(nonce)}, "nonce": nonce, "domain": DOMAIN}).encode()
        ids.append(http_ask(place.url, "POST", BASE + "verify", body=body, headers={"Content-Type": "application/json"}, token=token).json()["record"])
    listed = place.north.ask("GET", BASE + "records").json()["records"]
    equal([one["id"] for one in listed], [ids[2], ids[1]], "the newest two")
    kept = place.north.ask("GET", BASE + "records/" + ids[2])
    equal(cbor_decode(kept.body)["type"], "sim", "the record")
    equal(place.north.ask("GET", BASE + "records/" + ids[0]).status, 404, "the oldest is gone")
    equal(place.analyst.ask("GET", BASE + "records/" + ids[2]).status, 404, "another party's")
    equal(place.analyst.ask("GET", BASE + "records").json()["records"], [], "another party's list")
    equal(place.get(BASE + "records").status, 401, "nobody's")
    replay = place.post(BASE + "verify?policy=" + place.policy(), kept.body, "application/cbor").json()
    equal(replay["result"]["reason"], "binding", "the same evidence again, over no nonce")


@scenario("while the platform's own attestation fails nothing runs; when it succeeds again, it does", 60)
def platform(place):
    w = place.world

    def status():
        return place.get("/api/v1/compute/status").json()["attestation_status"]
    until(lambda: status() == "verified", 10, "verified")
    shutil.copy(place.enclave, place.enclave + ".kept")
    shutil.copy(place.enclave, place.enclave + ".other")
    with open(place.enclave + ".other", "ab") as file:
        file.write(b"\0")
    os.rename(place.enclave + ".other", place.enclave)  # there is never a moment without one
    until(lambda: status() == "failed", 10, "failed")
    newest = place.get(BASE + "history").json()["history"][0]
    equal((newest["verdict"], newest["reason"]), ("invalid", "measurement_mismatch"), repr(newest))
    done = place.analyst.cli("run", "start", w.agreement, "means")
    check(done.code != 0 and "attestation" in done.err, repr(done))
    os.rename(place.enclave + ".kept", place.enclave)
    until(lambda: status() == "verified", 10, "verified again")
    history = place.get(BASE + "history?limit=200").json()["history"]
    check({"valid", "invalid"} == {one["verdict"] for one in history}, repr(history)[:300])
    equal(w.end_of(w.start_run("means"))["state"], "done", "a run")


if __name__ == "__main__":
    raise SystemExit(main(Place, Place.close))
