"""Two publishers at once into one bucket, killed at random and started anew, and a reader in a loop.

    python benchmarks/two_publishers.py [--seconds 60] [--seed 0]

Starts a server that speaks S3 on this machine. The reader asks for the latest version, copies it, and checks every file
against the manifest; at the end every version that can be seen is checked. Prints what was seen: all counts of faults
must be 0.
"""

import argparse
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

from leaven.generators.errors import StoreError
from leaven.pipelines.store import Store

PUBLISH = """
import json, sys
from leaven.pipelines.stage import describe
from leaven.pipelines.store import Store
store = Store(sys.argv[1])
while True:
    version = store.new_id("a", sys.argv[2])
    with store.draft("a") as folder:
        for number in range(4):
            (folder / str(number)).write_text(f"{version} {number} " * 20_000)
        files = [describe(folder / str(number), folder).model_dump() for number in range(4)]
        told = {"name": "a", "version": version, "verdict": "released", "files": files}
        (folder / "manifest.json").write_text(json.dumps(told))
        store.publish("a", version, folder, True)
"""


def writer(uri: str, number: int, place: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LEAVEN_CACHE": str(place / f"writer{number}")}
    content = f"{number}" * 6
    return subprocess.Popen([sys.executable, "-c", PUBLISH, uri, content], env=environment)


def watch(uri: str, seconds: float, dice: random.Random, place: Path) -> dict[str, int]:
    """Counts of what was done and seen."""
    os.environ["LEAVEN_CACHE"] = str(place / "reader")
    store, latest = Store(uri), ""
    found = {"reads": 0, "new versions read": 0, "kills": 0, "broken versions": 0, "pointer went back": 0}
    writers = [writer(uri, number, place) for number in (1, 2)]
    end, next_kill = time.monotonic() + seconds, time.monotonic() + 5
    try:
        while time.monotonic() < end:
            if store.latest("a") is None:
                continue
            version = store.find("a")
            try:
                found["broken versions"] += bool(version.altered())
            except StoreError as error:
                print(error)
                found["broken versions"] += 1
            found["reads"] += 1
            found["new versions read"] += version.id != latest
            found["pointer went back"] += version.id < latest
            latest = version.id
            if time.monotonic() > next_kill:
                which = dice.randrange(2)
                writers[which].kill()
                writers[which].wait()
                writers[which] = writer(uri, which + 1, place)
                found["kills"] += 1
                next_kill = time.monotonic() + dice.uniform(3, 7)
    finally:
        for one in writers:
            one.kill()
            one.wait()
    versions = store.versions("a")
    found["versions"] = len(versions)
    found["broken at the end"] = sum(bool(store.get("a", one).altered()) for one in versions[-200:])
    found["unfinished, not seen"] = len(store.files.unfinished("a/versions"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_REGION": "us-east-1",
    }
    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket="bucket")
    with tempfile.TemporaryDirectory(prefix="publishers-") as place:
        dice = random.Random(options.seed)
        for what, count in watch("s3://bucket/store", options.seconds, dice, Path(place)).items():
            print(f"{what:<22}{count:>8,}")
    server.stop()


if __name__ == "__main__":
    main()
