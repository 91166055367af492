"""A server that speaks S3, for tests."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server on this machine."""
    pytest.importorskip("obstore")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of an empty place in a bucket, with the credentials in the environment and a cache of its own."""
    import boto3

    given = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "planted-secret",
        "AWS_REGION": "us-east-1",
        "LEAVEN_CACHE": str(tmp_path_factory.mktemp("cache")),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=name)
    return f"s3://{name}/some/where"


class Wire:
    """The way to a server, cut in the middle of a run's writing."""

    def __init__(self, server: str, puts: int):
        """`puts`: so many are let through to `server`; at the next one, the wire is cut until it is mended."""
        host, _, port = server.removeprefix("http://").rpartition(":")
        self._server, self._left = (host, int(port)), puts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refused = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def mend(self) -> None:
        self._left = 10**9

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                if self._left < 0:
                    self.refused += 1
                    near.close()
                    continue
                far = socket.create_connection(self._server)
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with one, other, contextlib.suppress(OSError):
            while content := one.recv(65536):
                self._left -= content.startswith(b"PUT ")
                if self._left < 0:
                    return
                other.sendall(content)


@pytest.fixture
def wire(s3_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The only way to the bucket, which lets five writes through."""
    made = Wire(s3_server, 5)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.address)
    yield made
    made.close()
