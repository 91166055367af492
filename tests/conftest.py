"""What tests of several rooms share: one temporary Prefect server for all that need one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bucket import bucket, s3_server, wire  # noqa: F401 (fixtures)

# Before anything imports Prefect or a threaded library.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # else threads of small fits spin on a busy machine


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A temporary server with a database of its own."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def shared_tables() -> Path:
    """Public datasets to measure on; tests that need them skip where they are absent."""
    root = Path(os.environ.get("LEAVEN_SHARED", Path(__file__).parent.parent.parent / "shared"))
    if not (root / "data" / "tables").is_dir():
        pytest.skip("the shared datasets are not here (set LEAVEN_SHARED)")
    return root / "data" / "tables"
