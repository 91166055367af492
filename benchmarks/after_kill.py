"""After kill -9: how long until a GPU's slot is free again, and until the run is marked crashed.

    python benchmarks/after_kill.py [--repeats 3]

A server and made-up devices of their own, so no GPU is needed. `lock`: another process on this machine takes the
device, as with `leaven run`. `limit`: another container does, which shares no disk, once Prefect's lease has expired;
so does a run of `leaven serve`. `crashed`: the automation that `leaven serve` sets up has noticed that the heartbeat
stopped. Seconds since the kill.
"""

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HOLD = """
import contextlib, sys, time
from prefect import flow, tags
from leaven.flows import gpu
how, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
gpu.devices = lambda: [gpu.Device(0, name)]
gpu._current = lambda index: contextlib.nullcontext()
if how == "limit":
    gpu._wait_for = lambda stack, wanted: wanted[0]
else:
    gpu.prefect_setup.is_temporary = lambda: True

@flow(name="hold")
def hold(name):
    with gpu.Gpu().held():
        print(time.time(), flush=True)
        time.sleep(seconds)

with tags("leaven"):
    hold(name)
"""


def start(how: str, name: str, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, how, name, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def freed(how: str, killed: list[tuple[str, float]]) -> float:
    """Kill one that holds a device; seconds until one that waits has it."""
    name = f"made-up-{uuid.uuid4()}"
    first = start(how, name, 600)
    assert first.stdout is not None
    first.stdout.readline()
    second = start(how, name, 0)
    time.sleep(10)  # it waits by now
    first.kill()
    moment = time.time()
    killed.append((name, moment))
    first.wait()
    taken = float(second.communicate()[0])
    return taken - moment


def crashed(name: str, moment: float) -> float:
    """Seconds after its kill when the run that held `name` was marked."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        while True:
            for run in client.read_flow_runs(limit=200):
                if run.parameters.get("name") == name and run.state and run.state.type.value == "CRASHED":
                    return run.state.timestamp.timestamp() - moment
            if time.time() - moment > 600:
                return float("nan")
            time.sleep(2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"PREFECT_HOME": home, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
        os.environ.pop("PREFECT_API_URL", None)
        from leaven.flows import automations, prefect_setup

        prefect_setup.prepare()
        server = prefect_setup.Server(0, temporary=False)
        os.environ["PREFECT_API_URL"] = server.api_url
        prefect_setup.bypass_proxy()
        server.wait()
        automations.watch_heartbeats()
        killed: list[tuple[str, float]] = []
        measured: dict[str, list[float]] = {}
        print(f"begun {datetime.datetime.now():%H:%M:%S}", flush=True)
        for how in ("lock", "limit"):
            measured[how] = []
            threads = [
                threading.Thread(target=lambda how=how: measured[how].append(freed(how, killed)))
                for _ in range(repeats)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            _print(how, measured[how])
        _print("crashed", [crashed(*one) for one in killed])
        server.stop()


def _print(what: str, seconds: list[float]) -> None:
    print(
        f"{what:<8} {statistics.median(seconds):6.1f} ({min(seconds):.1f} to {max(seconds):.1f})", flush=True
    )


if __name__ == "__main__":
    main()
