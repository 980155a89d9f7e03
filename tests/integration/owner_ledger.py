"""Reads a key service's database by its own means and says whether its ledger can be true.

The rules: rows are numbered without gaps and each hash covers the one before; a reservation is ended at most once, by commit or expire, with the
same amount; no end without reservation; spent + reserved never above the limit in force; balances are the sums; each release has its
reservation and the other way round; a commit has its token, and nothing is committed twice; each state entry is of an order, an amendment, a
key's state or a release that is there, and each of these has its entry.
"""
import hashlib
import os
import sqlite3
from fractions import Fraction

RESERVE, COMMIT, EXPIRE, LIMIT, STATE = 1, 2, 3, 4, 5


class Ledger:
    def __init__(self, home):
        self.path = os.path.join(home, "kms.db")
        # A live WAL database: read-only, one transaction, so that the service may go on.
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN")
            self.rows = connection.execute(
                "SELECT seq, dataset, run, agreement, kind, rho, time, previous, hash FROM ledger ORDER BY seq").fetchall()
            self.head = connection.execute("SELECT number, bytes FROM meta WHERE key = 'ledger_head'").fetchone()
            self.balances = {row[0]: row[1:] for row in connection.execute('SELECT dataset, "limit", spent, reserved, runs FROM balances')}
            self.releases = {row[0]: row[1:] for row in connection.execute("SELECT run, release, runtime, state, expires FROM releases")}
            self.told = self._told(connection)
            self.commits = dict(connection.execute("SELECT run, token_digest FROM commits"))
            self.nonces = connection.execute("SELECT count(*) FROM nonces").fetchone()[0]
        finally:
            connection.close()

    def spent(self):
        return {dataset: Fraction(row[1]) for dataset, row in self.balances.items()}

    def reserved(self):
        return {dataset: Fraction(row[2]) for dataset, row in self.balances.items()}

    def state_of(self, run):
        """The ledger kinds of a run, in order."""
        return [row[4] for row in self.rows if row[2] == run]

    def objections(self):
        found = []
        self._chain(found)
        self._amounts(found)
        self._releases(found)
        self._states(found)
        return found

    @staticmethod
    def _told(connection):
        """What state entries tell of: its digest and agreement, and whether it must have one. A key has one for each change of its state."""
        def brief(text):
            return hashlib.sha256(text).digest()[:16]
        told = {(brief(release + runtime), agreement): True
                for release, runtime, agreement in connection.execute("SELECT release, runtime, agreement FROM releases")}
        told.update({(brief(text), agreement): True for agreement, text in connection.execute("SELECT agreement, bytes FROM orders")})
        told.update({(brief(text), agreement): True for agreement, text in connection.execute("SELECT id, file FROM agreements WHERE epoch > 1")})
        told.update({(brief((key + state).encode()), bytes(32)): False for (key,) in connection.execute("SELECT id FROM deks")
                     for state in ("enabled", "disabled", "revoked", "destroyed")})
        return told

    def _states(self, found):
        entries = [(row[2], row[3]) for row in self.rows if row[4] == STATE]
        if not set(entries) <= set(self.told):
            found.append("a state entry tells of what is not there")
        if not {one for one, must in self.told.items() if must} <= set(entries):
            found.append("an order, an amendment or a release has no entry")

    def _chain(self, found):
        previous, wanted = bytes(32), 1
        for seq, dataset, run, agreement, kind, rho, when, row_previous, row_hash in self.rows:
            amount = Fraction(rho)
            text = (b"cloister/v1 ledger\0" + previous + seq.to_bytes(8, "big") + dataset + run + agreement + bytes([kind]) +
                    amount.numerator.to_bytes(8, "big") + amount.denominator.to_bytes(8, "big") + when.to_bytes(8, "big"))
            if seq != wanted:
                found.append(f"row {seq} where {wanted} was due")
            if row_previous != previous:
                found.append(f"row {seq} does not point to the one before")
            if hashlib.sha256(text).digest() != row_hash:
                found.append(f"row {seq} has another hash than its content")
            previous, wanted = row_hash, seq + 1
        if self.head is None or (self.head[0], self.head[1]) != (wanted - 1, previous):
            found.append("the recorded head is not the last row")

    def _amounts(self, found):
        limit, spent, reserved, runs, open_now, ended = {}, {}, {}, {}, {}, set()
        for seq, dataset, run, _, kind, rho, _, _, _ in self.rows:
            if kind == STATE:
                continue
            amount, key = Fraction(rho), (run, dataset)
            spent.setdefault(dataset, Fraction(0))
            reserved.setdefault(dataset, Fraction(0))
            if kind == LIMIT:
                limit[dataset] = amount
                continue
            if kind == RESERVE:
                if key in open_now or key in ended:
                    found.append(f"row {seq}: the run reserves a second time")
                open_now[key] = amount
                reserved[dataset] += amount
                if spent[dataset] + reserved[dataset] > limit.get(dataset, Fraction(-1)):
                    found.append(f"row {seq}: more than the limit")
                continue
            if open_now.pop(key, None) != amount:
                found.append(f"row {seq}: ends what was not reserved, or another amount")
            ended.add(key)
            reserved[dataset] -= amount
            if kind == COMMIT:
                spent[dataset] += amount
                runs[dataset] = runs.get(dataset, 0) + 1
        for dataset, (row_limit, row_spent, row_reserved, row_runs) in self.balances.items():
            if (Fraction(row_limit), Fraction(row_spent), Fraction(row_reserved), row_runs) != (
                    limit.get(dataset), spent.get(dataset, 0), reserved.get(dataset, 0), runs.get(dataset, 0)):
                found.append("a balance is not the sum of its rows")
        if set(self.balances) != set(limit):
            found.append("datasets of the ledger and of the balances differ")

    def _releases(self, found):
        kinds = {}
        for _, _, run, _, kind, _, _, _, _ in self.rows:
            if kind not in (LIMIT, STATE):
                kinds.setdefault(run, set()).add(kind)
        for run, (_, _, state, _) in self.releases.items():
            wanted = {RESERVE} if state == RESERVE else {RESERVE, state}
            if kinds.pop(run, set()) != wanted:
                found.append(f"run {run.hex()[:8]}: its release and its rows tell different stories")
            if (state == COMMIT) != (run in self.commits):
                found.append(f"run {run.hex()[:8]}: committed without stored shares, or the other way round")
        if kinds:
            found.append("a reservation without a release")
