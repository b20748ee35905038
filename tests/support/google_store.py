"""A Google Cloud Storage server on loopback, the package gcp-storage-emulator, in a process of its own."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from pyarrow import fs

from tests.support.processes import until

BUCKET = "visits"


class GoogleStore:
    """A bucket ``visits``."""

    def __init__(self, port: int) -> None:
        self._way = f"127.0.0.1:{port}"
        self.system = fs.GcsFileSystem(
            anonymous=True, scheme="http", endpoint_override=self._way, retry_time_limit=timedelta(seconds=10)
        )

    def put(self, key: str, data: bytes) -> str:
        """Store an object; its address."""
        with self.system.open_output_stream(f"{BUCKET}/{key}") as out:
            out.write(data)
        return self.make_address(key)

    def make_address(self, key: str) -> str:
        """The address of a key."""
        return f"gs://anonymous@{BUCKET}/{key}?endpoint_override={self._way}&scheme=http"


@contextmanager
def serve_google_store() -> Iterator[GoogleStore]:
    """The store while its server runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Not in this process: its one thread would wait for ours, which holds the interpreter while pyarrow waits for it.
    words = ["start", "--host=127.0.0.1", f"--port={port}", "--in-memory", f"--default-bucket={BUCKET}"]
    server = subprocess.Popen(
        [sys.executable, "-m", "gcp_storage_emulator", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _answers(port), 30)
        yield GoogleStore(port)
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
