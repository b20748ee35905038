"""The head of a cluster is watched from outside Ray; a driver that it left hanging is ended."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mics_ray.errors import EXIT_STOPPED
from mics_ray.runtime.driver import head_watch
from mics_ray.runtime.driver.head_watch import HeadLost, HeadWatch

SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HANGING = """
import sys, time
from mics_ray.runtime.driver import head_watch
head_watch.EVERY_S, head_watch.LOST_S, head_watch.NOTICE_S, head_watch.LEAVE_S = 0.05, 0.2, 0.2, 0.2
with head_watch.HeadWatch(sys.argv[1]) as watch:
    if sys.argv[2] == "notices":
        while not watch.lost:
            time.sleep(0.01)
        try:
            watch.raise_if_lost()
        except head_watch.HeadLost:
            print("told", flush=True)
    time.sleep(60)
"""


@contextmanager
def serving() -> Iterator[str]:
    """Something that answers as a head does; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(SETTINGS_FRAME)
            connection.recv(100)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_watch, "EVERY_S", 0.02)
    monkeypatch.setattr(head_watch, "LOST_S", 0.2)
    monkeypatch.setattr(head_watch, "NOTICE_S", 600.0)
    monkeypatch.setattr(head_watch, "LEAVE_S", 600.0)


@pytest.mark.usefixtures("quick")
def test_a_head_that_answers_is_not_lost() -> None:
    with serving() as address, HeadWatch(address) as watch:
        time.sleep(0.5)
        watch.raise_if_lost()
        assert not watch.confirm_lost()


@pytest.mark.usefixtures("quick")
def test_a_silent_head_is_lost_after_a_while_and_not_at_once() -> None:
    with serving() as address:
        watch = HeadWatch(address)
        assert not watch.confirm_lost()
    began = time.monotonic()
    assert watch.confirm_lost()
    assert time.monotonic() - began > 0.1
    with pytest.raises(HeadLost, match="the same command goes on"):
        watch.raise_if_lost()


def test_nothing_is_watched_without_an_address() -> None:
    with HeadWatch("") as watch:
        assert not watch.confirm_lost()


@pytest.mark.heavy
@pytest.mark.parametrize("way", ["hangs", "notices"])
def test_a_driver_that_does_not_leave_is_ended_with_one_line(way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    done = subprocess.run(
        [sys.executable, "-c", HANGING, address, way], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == EXIT_STOPPED
    assert done.stderr.count("is lost") == (way == "hangs")
    assert done.stdout == ("told\n" if way == "notices" else "")
