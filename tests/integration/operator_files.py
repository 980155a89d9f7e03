"""Reads the files of the operator and of its witness by its own means and says whether they can be true.

The rules: every record of the log's journal has the leaf hash of its content; the checkpoint is signed by the log's key, and its root is that
of the journal's first entries; so is what the witness remembers; a run is in one known state, and a final one says why; a statement stands
in the log exactly once, where the run's record says; a receipt holds that statement, signed by the attested key, and the digest of the stored output.
"""
import hashlib
import os
import sqlite3

from plain_formats import FormatError, cbor_decode, cbor_encode, checkpoint_open, container_open, cose_open, ed25519_verify, leaf_hash, note_verified, tree_root, vkey_open

FINAL = ("done", "failed", "cancelled")
STATES = ("queued", "starting", "attesting", "releasing", "reading", "computing", "committing") + FINAL


def read(path):
    with open(path, "rb") as file:
        return file.read()


def journal(home):
    """Leaves of all whole records; a torn tail is what a kill may leave."""
    data, at, leaves = read(os.path.join(home, "log", "journal")), 0, []
    while at + 4 <= len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        record = data[at + 4:at + 4 + size + 32]
        if size > 60000 or len(record) < size + 32:
            break
        if record[size:] != leaf_hash(record[:size]):
            raise FormatError(f"entry {len(leaves)} has another leaf hash than its content")
        leaves.append(record[:size])
        at += 4 + size + 32
    return leaves


def statement_leaf(statement):
    return cbor_encode({"type": "statement", "digest": hashlib.sha256(statement).digest()})


class Receipt:
    def __init__(self, data):
        self.fields = cbor_decode(container_open(data, b"CLORECPT"))
        self.statement_bytes = self.fields["statement"]
        header, payload, self.signature = cose_open(self.statement_bytes)
        self.statement = cbor_decode(payload)
        self.signed = cbor_encode(["Signature1", header, b"", payload])

    def signature_good(self):
        return ed25519_verify(self.fields["binding"]["sign_key"], self.signed, self.signature)


class OperatorFiles:
    """One look at the operator's and the witness's home; both may be running or dead."""

    def __init__(self, operator_home, witness_home, log_vkey):
        self.home, self.vkey = operator_home, log_vkey
        self.checkpoint = read(os.path.join(operator_home, "log", "checkpoint")).decode()
        self.seen = self._witness_state(os.path.join(witness_home, "state"))
        self.leaves = journal(operator_home)  # after both: it can only be longer than what they speak of
        connection = sqlite3.connect(f"file:{operator_home}/operator.db?mode=ro", uri=True, timeout=10, isolation_level=None)
        try:
            names = "id, state, text, code, log_index, statement, prepared, commits, receipt"
            self.runs = {row[0].hex(): dict(zip(names.split(", ")[1:], row[1:])) for row in connection.execute(f"SELECT {names} FROM run")}
        finally:
            connection.close()

    def _witness_state(self, folder):
        """What the witness remembers of the operator's log; and, aside, (size, root) of the owners' ledgers, which are logs of their own."""
        own, self.ledgers_seen = None, []
        for name in os.listdir(folder):
            if len(name) != 68:
                continue  # a temporary name
            origin, size, root = checkpoint_open(read(os.path.join(folder, name)).decode() + "\n")
            if name == "log-" + hashlib.sha256(vkey_open(self.vkey)[3]).hexdigest():
                own = size, root
            elif origin.startswith("cloister-kms/"):
                self.ledgers_seen.append((size, root))
        if own is None:
            raise FormatError("the witness remembers nothing of the operator's log")
        return own

    def objections(self):
        found = []
        self._log(found)
        for run_id, run in self.runs.items():
            for text in self._run(run_id, run):
                found.append(f"run {run_id[:8]}: {text}")
        return found

    def _log(self, found):
        _, size, root = checkpoint_open(self.checkpoint)
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        if not note_verified(self.checkpoint, self.vkey):
            found.append("the checkpoint has no good signature of the log")
        for who, (told, wanted) in (("the checkpoint", (size, root)), ("the witness", self.seen)):
            if told > len(hashes) or tree_root(hashes[:told]) != wanted:
                found.append(f"{who} speaks of {told} entries that the journal of {len(hashes)} does not hold")
        statements = [leaf for leaf in self.leaves if cbor_decode(leaf)["type"] == "statement"]
        if len(set(statements)) != len(statements):
            found.append("a statement was registered twice")
        self.witnessed = size

    def _run(self, run_id, run):
        if run["state"] not in STATES:
            yield f"no known state: {run['state']}"
        if run["state"] == "failed" and not run["text"]:
            yield "failed without a word"
        if run["state"] == "done" and not (run["receipt"] and run["commits"]):
            yield "done without a receipt or shares"
        if run["log_index"] >= 0:
            if run["log_index"] >= len(self.leaves) or self.leaves[run["log_index"]] != statement_leaf(run["statement"]):
                yield "its statement is not where its record says"
        if run["receipt"]:
            yield from self._receipt(run_id, run)

    def _receipt(self, run_id, run):
        receipt = Receipt(run["receipt"])
        if receipt.statement_bytes != run["statement"] or run["log_index"] < 0 or run["log_index"] >= self.witnessed:
            yield "the receipt holds another statement, or one that nobody witnessed"
        if receipt.statement["run_id"].hex() != run_id:
            yield "the receipt is of another run"
        if hashlib.sha256(read(os.path.join(self.home, "blobs", "output-" + run_id))).digest() != receipt.statement["output"]:
            yield "the stored output is another than the receipt's"
