"""T23: each key is stolen in turn, and what the thief can do is compared with the table in docs/threats.md: no more, and no less than it says. Old receipts still verify."""
import os
import re
import shutil
import time

from scenario import check, equal, main, scenario
from world import ROOT, Party, World, http_ask, program, run, until

ACTS = ("start a run", "open an output", "stop", "amend alone", "see the ledger")


def written_table():
    """{key: {act: yes or no}} of the section on stolen keys."""
    with open(os.path.join(ROOT, "docs", "threats.md"), encoding="utf-8") as file:
        section = file.read().split("## Stolen keys")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|") and "--" not in line]
    head = rows[0][1:]
    equal(set(ACTS) <= set(head), True, f"columns {head}")
    return {row[0]: dict(zip(head, row[1:])) for row in rows[1:]}


class Place:
    def __init__(self):
        self.world = w = World(owners=("north", "south"), row_count=150)
        self.run_id = w.analyst.must_json("run", "start", w.agreement, "means", "--watch")["id"]
        self.receipt = w.path("old.receipt")
        w.analyst.must("receipt", "fetch", self.run_id, "--out", self.receipt)
        equal(w.analyst.must_json("receipt", "verify", self.receipt)["verdict"], "valid", "the receipt before")

    def thief(self, name, victim, identity):
        """Somebody with a home of their own and one stolen file in it."""
        one = Party(self.world, name)
        if identity is None:
            one.must("party", "new", name)
        else:
            os.makedirs(one.home, 0o700)
            shutil.copy(identity, os.path.join(one.home, "identity.key"))
            shutil.copy(victim.party_file, one.home)
        words = ["init", "--operator", self.world.path("operator.json")]
        north = self.world.owners[0]
        if victim is north:
            words += ["--kms", self.world.path("north-kms.json")]
        one.cli(*words)
        return one

    def close(self):
        self.world.close()


def what_falls(place, thief, name):
    """Each act, tried for real."""
    w, done = place.world, {}
    started = thief.cli("run", "start", w.agreement, "means", "--watch", seconds=60)
    done["start a run"] = started.code == 0
    opened = thief.cli("output", "open", place.run_id, "--out", w.path(name + ".opened"))
    done["open an output"] = opened.code == 0
    wide = w.template_text().replace("format: cloister-agreement/1\n", f"format: cloister-agreement/1\nepoch: 2\nprev: {w.agreement}\nlineage: {w.agreement}\n", 1).replace(
        "count_max: 50", "count_max: 500")
    template, file = w.write(name + ".yaml", wide), w.path(name + ".agreement")
    thief.cli("agreement", "new", template, "--out", file)
    thief.cli("agreement", "sign", file)
    thief.cli("agreement", "submit", file)
    ran = thief.cli("run", "start", file, "means", "--watch", seconds=60)
    done["amend alone"] = ran.code == 0
    north = w.owners[0]
    ledger = http_ask(north.info["url"], "GET", "/v1/ledger", token=thief.identity().token(north.info["spki"]))
    done["see the ledger"] = ledger.status == 200
    time.sleep(1.1)  # orders of one party are numbered by the second, and the last may just have been given
    stopped = thief.cli("agreement", "stop", w.path("world.agreement"))
    done["stop"] = stopped.code == 0
    if done["stop"]:
        time.sleep(1.1)  # orders of one party are numbered by the second
        for party in [w.analyst] + w.owners:
            party.must("agreement", "resume", w.path("world.agreement"))
        until(lambda: w.analyst.must_json("agreement", "status", w.path("world.agreement"))["state"] == "active", 10, "the agreement goes on")
    return done, (started, opened, ran, stopped)


@scenario("T23_steal_each_key: what falls is what the table says", seconds=120)
def steal_each(place):
    w, table = place.world, written_table()
    north = w.owners[0]
    victims = {"nothing (an outsider)": (None, None), "identity of an analyst": (w.analyst, os.path.join(w.analyst.home, "identity.key")),
               "identity of a data owner": (north, os.path.join(north.home, "identity.key"))}
    for number, (key, (victim, identity)) in enumerate(victims.items()):
        done, tried = what_falls(place, place.thief(f"thief{number}", victim, identity), f"thief{number}")
        for act in ACTS:
            check(done[act] == (table[key][act] == "yes"), f"{key}: {act} {'works' if done[act] else 'does not work'}, the table says {table[key][act]}: {tried!r}")


@scenario("T23_keys_of_daemons: their homes hold no party's key and no row, and only what the table says")
def homes(place):
    w, table = place.world, written_table()
    for key in ("home of the operator", "home of a witness"):
        equal({table[key][act] for act in ACTS}, {"no"}, f"the table's row of {key}")
    secrets = {}
    for party in [w.analyst] + w.owners:
        secrets[party.name] = party.identity().seed
    for folder in (w.operator_home, w.witness_home, w.owners[0].kms_home):
        for place_, _, files in os.walk(folder):
            for name in files:
                with open(os.path.join(place_, name), "rb") as file:
                    data = file.read()
                check(b"row-1-0000" not in data and b"row-2-0000" not in data, f"{name} has rows")
                for who, secret in secrets.items():
                    check(secret not in data, f"{folder}/{name} has the key of {who}")


@scenario("T23_tls_keys: a server with a stolen certificate, or another, is not the one that was pinned")
def tls_keys(place):
    w = place.world
    other = w.path("impostor")
    done = run([program("cloister-kms"), "init", "--home", other, "--owner", w.owners[1].party_file])
    equal(done.code, 0, repr(done))
    # The operator's TLS key in the hands of a key service: what it proves is another name than the agreement's pin for the key service.
    for name in ("tls.key", "tls.pem"):
        shutil.copy(os.path.join(w.operator_home, name), os.path.join(other, name))
    impostor = w.daemon("impostor", [program("cloister-kms"), "--home", other]).start()
    with open(os.path.join(other, "listen")) as file:
        url = file.read().split()[2]
    config = os.path.join(w.owners[0].home, "config.yaml")
    with open(config) as file:
        kept = file.read()
    try:
        with open(config, "w") as file:
            file.write(kept.replace(w.owners[0].info["url"], url))
        asked = w.owners[0].cli("budget", "list")
        check(asked.code == 1 and ("spki" in asked.err.lower() + asked.out.lower() or "pin" in asked.err.lower()), repr(asked))
    finally:
        with open(config, "w") as file:
            file.write(kept)
        impostor.kill()


@scenario("T23_old_receipts verify after every key was changed, and the agreement ended")
def old_receipts(place):
    w = place.world
    for owner in w.owners:
        owner.must("key", "rotate")
        key = http_ask(owner.info["url"], "GET", "/v1/keys", token=owner.identity().token(owner.info["spki"])).json()["keys"][0]["id"]
        owner.must("key", "revoke", key)
    w.analyst.must("agreement", "terminate", w.path("world.agreement"))
    w.stop_all()  # offline: nobody is asked
    equal(w.analyst.must_json("receipt", "verify", place.receipt)["verdict"], "valid", "the old receipt")
    again = w.analyst.cli("receipt", "compare", place.receipt, place.receipt, "--json")
    equal((again.code, again.json()["verdict"]), (0, "consistent"), repr(again))
    with open(place.receipt, "rb") as file:
        data = bytearray(file.read())
    data[len(data) // 2] ^= 1
    check(w.analyst.cli("receipt", "verify", w.write("spoilt.receipt", bytes(data))).code in (1, 2), "a spoilt one")
    check(re.search("valid", w.analyst.must("receipt", "verify", place.receipt, "--json").out), "still")


if __name__ == "__main__":
    raise SystemExit(main(Place, Place.close))
