"""An address where no Ray is costs seconds and one clear line."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from ray._private.services import get_node_ip_address

from mics_ray.config.schema import RayConfig
from mics_ray.errors import EXIT_REFUSED, RefusedRun
from mics_ray.runtime.driver import gcs_check
from mics_ray.runtime.driver.cluster import join_cluster

HERE = get_node_ip_address()
"""This machine's own address, which Ray takes for loopback too."""


@contextmanager
def listening(reply: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine that accepts, and says ``reply`` to what it hears; ``None``: never a word."""
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(1024))
            if reply is None:
                done.wait(30)
            else:
                connection.sendall(reply)

    done = threading.Event()
    with socket.create_server((HERE, 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        done.set()
        thread.join(10)


def closed_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("kind", ["", "ray://"])
def test_a_refused_port_is_named(kind: str) -> None:
    address = f"{kind}{HERE}:{closed_port()}"
    with pytest.raises(RefusedRun, match=rf"ray\.address: nothing answers at {address} \(Connection refused\)"):
        gcs_check.refuse_unreachable(address)


@pytest.mark.parametrize("kind", ["", "ray://"])
def test_a_port_that_accepts_and_never_answers_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs_check, "ANSWER_S", 0.3)
    with listening(None) as (port, heard):
        with pytest.raises(RefusedRun, match=r"ray\.address: no answer from .* within"):
            gcs_check.refuse_unreachable(f"{kind}{HERE}:{port}")
        assert heard == [gcs_check.PREFACE]


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b""])
def test_a_server_of_another_kind_is_no_ray(reply: bytes) -> None:
    with listening(reply) as (port, heard):
        with pytest.raises(RefusedRun, match="is no Ray; give the head's own port"):
            gcs_check.refuse_unreachable(f"{HERE}:{port}")
        assert heard == [gcs_check.PREFACE]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8265", "https://head", "head:port", "head", "a:b:1", "ray://h:p"]
)
def test_what_is_no_address_of_a_ray_is_refused_unasked(address: str) -> None:
    with pytest.raises(RefusedRun, match=rf"ray\.address: {address} is not auto, HOST:PORT or ray://HOST:PORT"):
        gcs_check.refuse_unreachable(address)


def test_auto_tries_the_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()
    monkeypatch.setenv("RAY_ADDRESS", f"{HERE}:{port}")
    with (
        pytest.raises(RefusedRun, match=rf"nothing answers at auto \({HERE}:{port}\)"),
        join_cluster(RayConfig("auto")),
    ):
        pass


def test_any_grpc_server_answers_and_is_left_to_ray() -> None:
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads)
        port = server.add_insecure_port(f"{HERE}:0")
        server.start()
        try:
            gcs_check.refuse_unreachable(f"{HERE}:{port}")
        finally:
            server.stop(0).wait()


@pytest.mark.heavy
def test_a_program_says_it_in_one_line_and_ends_with_78() -> None:
    words = ["scripts/plan.py", "experiment=demo", f"ray.address={HERE}:{closed_port()}"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EXIT_REFUSED, done.stderr
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert "ray.address: nothing answers at" in line
