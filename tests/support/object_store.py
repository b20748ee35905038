"""A real S3 server on loopback (moto's), and a way to it whose connections can be cut midway."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}  # fmt: skip


class ObjectStore:
    """A bucket ``cases``; ``cuts`` connections are cut as soon as they have carried :attr:`cut_after` bytes back."""

    def __init__(self, port: int) -> None:
        self.cuts, self.cut_after = 0, 100_000
        self._port = port
        self._way = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._way.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        self.system = fs.S3FileSystem(
            endpoint_override=f"127.0.0.1:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        self.system.create_dir("cases")

    def put(self, key: str, data: bytes) -> str:
        """Store an object; its address through the way that can be cut."""
        with self.system.open_output_stream(f"cases/{key}", compression=None) as out:
            out.write(data)
        return self.make_address(key)

    def make_address(self, key: str) -> str:
        """The address of a key."""
        return f"s3://cases/{key}?endpoint_override={self.endpoint}&scheme=http&region=us-east-1"

    def close(self) -> None:
        """Accept no more connections."""
        self._way.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._way.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        carried = 0
        with suppress(OSError):
            while data := source.recv(16384):
                carried += len(data)
                if back and self.cuts and carried > self.cut_after:
                    self.cuts -= 1
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def serve_objects() -> Iterator[ObjectStore]:
    """The store, with the keys that it wants in the environment meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, value)
            store = ObjectStore(server.get_host_and_port()[1])
            yield store
            store.close()
    finally:
        server.stop()
