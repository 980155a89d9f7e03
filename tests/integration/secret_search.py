"""Looks for planted secrets where they may not be: files, memory, arguments and environment of processes, cores, answers.

A secret is bytes with a name; who may hold it is said by the caller, per place. Every form in which such bytes usually leak is looked for: raw, hexadecimal, base64.
"""
import array
import base64
import os

PIECE = 4 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


def forms(raw):
    text = base64.b64encode(raw).rstrip(b"=")
    # The last sextet of base64 depends on what follows.
    return {raw, raw.hex().encode(), raw.hex().upper().encode(), text[:-1], text[:-1].replace(b"+", b"-").replace(b"/", b"_")}


class Secrets:
    def __init__(self):
        self.all = {}

    def plant(self, name, raw):
        assert len(raw) >= 16, name
        self.all[name] = forms(raw)
        self.longest = max(len(form) for kinds in self.all.values() for form in kinds)

    def in_bytes(self, data):
        return {name for name, kinds in self.all.items() if any(form in data for form in kinds)}

    def in_stream(self, read):
        """read(n) gives the next bytes, empty at the end; what spans two pieces is found."""
        found, tail = set(), b""
        while True:
            piece = read(PIECE)
            if not piece:
                return found
            found |= self.in_bytes(tail + piece)
            tail = piece[-self.longest:]

    def in_file(self, path):
        try:
            with open(path, "rb") as file:
                return self.in_stream(file.read)
        except (FileNotFoundError, OSError):
            return set()

    def in_tree(self, folder):
        """{path: names} of every regular file below."""
        found = {}
        for place, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    held = self.in_file(path) | self.in_bytes(os.fsencode(path))
                    if held:
                        found[path] = held
        return found

    def in_words(self, pid):
        """Arguments and environment."""
        return self.in_file(f"/proc/{pid}/cmdline") | self.in_file(f"/proc/{pid}/environ")

    def in_memory(self, pid):
        """All that is in memory and can be read; the process may go on or end meanwhile."""
        found = set()
        try:
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                for start, end in resident(pid):
                    found |= self._in_range(memory, start, end)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
        return found

    def _in_range(self, memory, start, end):
        at = start

        def read(n):
            nonlocal at
            try:
                memory.seek(at)
                piece = memory.read(min(n, end - at)) if at < end else b""
            except (OSError, ValueError):
                return b""
            at += len(piece)
            return piece
        return self.in_stream(read)


def resident(pid):
    """Runs of pages that are in memory (or swapped out) now; not those of a file that the process has privately and cannot write."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages:
        for line in maps:
            words = line.split()
            if words[1][0] != "r" or (words[1][1] != "w" and words[1][3] == "p" and words[4] != "0") or words[-1] in ("[vvar]", "[vdso]", "[vsyscall]"):
                continue
            low, high = (int(part, 16) // PAGE for part in words[0].split("-"))
            pages.seek(low * 8)
            entries = array.array("Q", pages.read((high - low) * 8))
            for index, entry in enumerate(entries):
                if entry >> 62 == 0:
                    continue
                at = (low + index) * PAGE
                if found and found[-1][1] == at:
                    found[-1][1] = at + PAGE
                else:
                    found.append([at, at + PAGE])
    return found
