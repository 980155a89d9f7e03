"""The hand on tests/fault/fault_shim.so: which calls of a program are hit, and how. The program reads it at every call."""
import mmap
import os
import struct
import sys

ALL = 255
WRITE, SYNC, RENAME, LINK, UNLINK, TRUNCATE, CREATE, MAKE_DIR, SEND = (1 << bit for bit in range(9))
FOR_EVER = 2 ** 64 - 1
HOW = {name: number for number, name in enumerate(
    ["nothing", "io error", "disk full", "read-only", "short write", "torn write", "kill", "kill after", "power cut", "mixed power cut", "no descriptors", "stop"])}


def shim(build):
    return os.path.join(build, "tests", "fault", "fault_shim.so")


class Faults:
    """Layout: see `control` in fault_shim.c."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(4096))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def environment(self, build):
        return {"LD_PRELOAD": shim(build), "CLOISTER_FAULT": self.path}

    def watch(self, folder, scratch=""):
        struct.pack_into("512s512s", self.map, 48, folder.encode(), scratch.encode())

    def arm(self, how, first=1, last=FOR_EVER, kinds=ALL):
        """Calls first..last of these kinds, counted from now, are hit."""
        struct.pack_into("=QQ", self.map, 8, 0, 0)
        struct.pack_into("=II", self.map, 24, HOW[how], kinds)
        struct.pack_into("=Q", self.map, 40, 0)
        struct.pack_into("=Q", self.map, 0, 0)
        struct.pack_into("=QQ", self.map, 8, first, last)

    def count(self, kinds=ALL):
        """Hit nothing, but count."""
        self.arm("nothing", 0, 0, kinds)

    def rest(self):
        struct.pack_into("=QQII", self.map, 8, 0, 0, 0, 0)

    def clock(self, seconds):
        struct.pack_into("=q", self.map, 32, seconds)

    @property
    def calls(self):
        return struct.unpack_from("=Q", self.map, 0)[0]

    @property
    def hits(self):
        return struct.unpack_from("=Q", self.map, 40)[0]


def build_folder():
    return os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
