"""The servers as processes: a load generator that others use gets its answers and an end; memory stays small while nothing and while much is asked."""
import os
import re
import shutil

from scenario import Skip, check, equal, main, scenario
from world import World, address, run

MIB = 1024
IDLE_MIB, UPLOAD_MIB, PUSHED_MIB = 64, 32, 96


def memory_mib(daemon, kind):
    with open(f"/proc/{daemon.pid}/status") as status:
        return int(re.search(kind + r":\s+(\d+)", status.read()).group(1)) / MIB


@scenario("openssl s_time gets its pages and ends", 60)
def s_time_ends(world):
    if shutil.which("openssl") is None:
        raise Skip("openssl is not installed")
    for owner, path, how in ((world.operator_info, "/api/v1/compute/status", "-new"), (world.operator_info, "/api/v1/compute/status", "-reuse"),
                             (world.operator_info, "/", "-new"), (world.owners[0].info, "/healthz", "-new"), (world.witness_info, "/", "-new")):
        host, port = address(owner["url"])
        done = run(["openssl", "s_time", "-connect", f"{host}:{port}", "-www", path, "-time", "3" if owner is world.operator_info and path == "/" else "1", how], 20)
        equal(done.code, 0, f"s_time of {path} {how}: {done!r}")
        counted = re.findall(r"(\d+) connections in \d+ real seconds, (\d+) bytes read per connection", done.out)
        check(counted and all(int(connections) > 0 and int(size) > 100 for connections, size in counted), repr(done))


@scenario("no daemon occupies more than 64 MiB after a run", 60)
def idle_memory(world):
    world.analyst.must("run", "start", world.agreement, "means", "--watch")
    for daemon in world.daemons:
        occupied = memory_mib(daemon, "VmRSS")
        # The sanitizers' shadow is no memory of the daemon.
        check("ASAN_OPTIONS" in os.environ or occupied <= IDLE_MIB, f"{daemon.name} occupies {occupied:.1f} MiB")


@scenario("an upload larger than its bound leaves the operator's memory small", 90)
def upload_memory(world):
    columns = ",".join(f"c{i}" for i in range(16))
    schema = world.write("wide.json", '{"columns":{' + ",".join(f'"c{i}":{{"type":"int","min":0,"max":9}}' for i in range(16)) + "}}")
    line = ",".join(str(i % 10) for i in range(16)) + "\n"
    csv = world.write("wide.csv", columns + "\n" + line * (PUSHED_MIB * MIB * MIB // (16 * 8 + 2)))
    owner = world.owners[0]
    owner.must("dataset", "seal", csv, "--schema", schema, "--name", "wide")
    with open(f"/proc/{world.operator.pid}/clear_refs", "w") as reset:
        reset.write("5")  # VmHWM begins anew
    before = memory_mib(world.operator, "RssAnon")
    owner.must("dataset", "push", "wide", "--without-key")
    most = memory_mib(world.operator, "VmHWM") - memory_mib(world.operator, "RssFile")
    check("ASAN_OPTIONS" in os.environ or most <= UPLOAD_MIB, f"{most:.1f} MiB during the upload, {before:.1f} MiB before")
    held = owner.ask("GET", "/api/v1/datasets").json()["datasets"]
    check(any(one["name"] == "wide" and one["complete"] and one["size"] > (PUSHED_MIB - 2) * MIB * MIB for one in held), str(held))


if __name__ == "__main__":
    raise SystemExit(main(lambda: World(owners=("north",), row_count=200), World.close))
