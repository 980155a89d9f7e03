#!/usr/bin/env python3
"""Files into C arrays: embed.py OUTPUT.c HEADER.h NAME=FILE..."""
import sys

output, header, *pairs = sys.argv[1:]
with open(output, "w", encoding="ascii") as out:
    out.write(f'#include "{header}"\n')
    for pair in pairs:
        name, path = pair.split("=", 1)
        with open(path, "rb") as source:
            data = source.read()
        out.write(f"static const unsigned char {name}_bytes[] = {{\n")
        for at in range(0, len(data), 32):
            out.write("".join(f"{byte}," for byte in data[at:at + 32]) + "\n")
        out.write(f"}};\nconst clo_span {name} = {{{name}_bytes, sizeof {name}_bytes}};\n")
