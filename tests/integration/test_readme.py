"""The README's way by hand, followed to the letter: every command of that section in its order, with the programs of this build, in an empty home."""
import os
import shutil
import subprocess
import tempfile

from scenario import check, equal, main, scenario
from world import ROOT, program

READY = """started() { for i in $(seq 1200); do grep -q 'at https://' "$1" && return; sleep 0.05; done; echo "$1 is not ready"; exit 1; }
trap 'kill $(jobs -p)' EXIT
"""


class Study:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="cloister-readme-")
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as page:
            section = page.read().split("## By hand", 1)[1].split("\n## ", 1)[0]
        self.commands = [line[4:] for line in section.split("\n") if line.startswith("    ")]

    def script(self):
        lines = ["set -e -o pipefail", READY]
        for number, command in enumerate(self.commands):
            if command.startswith("export PATH="):
                command = f"export PATH={os.path.dirname(program('cloister'))}:$PATH"
            elif command.endswith(" &"):
                command = f"{command[:-2]} > ready.{number} &\nstarted ready.{number}"
            elif " run start " in command:
                command += " | tee started\nRUN=$(grep -o -m 1 '[0-9a-f]\\{32\\}' started | head -n 1)"
            lines.append(command.replace(" RUN", " $RUN"))
        return "\n".join(lines) + "\n"

    def close(self):
        shutil.rmtree(self.home, ignore_errors=True)


@scenario("every command of the README's way by hand works as it stands there, to a receipt that verifies", seconds=160)
def by_hand(study):
    check(len(study.commands) > 25, f"{len(study.commands)} commands")
    done = subprocess.run(["bash", "-c", study.script()], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=150,
                          env={"PATH": "/usr/bin:/bin", "HOME": study.home})
    said = done.stdout.decode(errors="replace")
    equal(done.returncode, 0, said[-3000:])
    check("stay.receipt: VALID" in said, said[-3000:])
    check("ledger-unwitnessed" not in said, "the key service has its witness")


if __name__ == "__main__":
    raise SystemExit(main(Study, Study.close))
