"""Whether the head of the Ray cluster is still there, asked from outside Ray: its own calls hang for a minute first."""

import atexit
import os
import sys
import threading
import time
from types import TracebackType

import ray

from mics_ray.errors import EXIT_STOPPED
from mics_ray.runtime.driver.gcs_check import speaks_grpc

EVERY_S = 2.0
LOST_S = 24.0
"""Silence after which the head is lost. With what :func:`speaks_grpc` waits and :data:`LEAVE_S`, less than a minute."""
NOTICE_S, LEAVE_S = 5.0, 20.0
"""How long the driver may then take to notice, and to leave: a call into Ray may never return."""


_abandoned = threading.Event()


class HeadLost(Exception):
    """The head has not answered for :data:`LOST_S` seconds; the message is for the person."""


class HeadWatch:
    """Asks the head every two seconds in a thread while it is entered; later it ends a driver that does not leave."""

    def __init__(self, gcs: str) -> None:
        """``gcs``: HOST:PORT of the head's control service, empty where there is nothing to watch."""
        self._gcs = gcs
        self._heard = time.monotonic()
        self._silent = False
        self._noticed = threading.Event()
        self._over = threading.Event()

    @property
    def message(self) -> str:
        """What is said about a lost head."""
        return f"the head of the Ray cluster ({self._gcs}) is lost; the same command goes on when there is one again"

    @property
    def silent(self) -> bool:
        """Whether it did not answer the last time: what needs it would hang."""
        return self._silent

    @property
    def lost(self) -> bool:
        """Whether it has been silent for too long."""
        return self._silent and time.monotonic() - self._heard >= LOST_S

    def raise_if_lost(self) -> None:
        """Raises :class:`HeadLost`."""
        if self.lost:
            self._noticed.set()
            raise HeadLost(self.message)

    def confirm_lost(self) -> bool:
        """Whether it is lost; where something in Ray has just failed, that is waited for as long as it is silent."""
        if self._gcs:
            self._probe_head()
        while self._silent and not self.lost:
            time.sleep(0.1)
        if self.lost:
            self._noticed.set()
        return self.lost

    def __enter__(self) -> "HeadWatch":
        if self._gcs:
            threading.Thread(target=self._poll_head, name="head", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def _poll_head(self) -> None:
        while not self.lost:
            if self._over.wait(EVERY_S):
                return
            self._probe_head()
        # Whatever happens from here on, ray.shutdown() at the end of the program included, is cut short.
        if self._noticed.wait(NOTICE_S):
            time.sleep(LEAVE_S)
        else:
            sys.stderr.write(f"{self.message}\n")
        _exit_process()

    def _probe_head(self) -> None:
        host, _, port = self._gcs.rpartition(":")
        try:
            self._silent = not speaks_grpc(host.strip("[]"), int(port))
        except OSError:
            self._silent = True
        if not self._silent:
            self._heard = time.monotonic()


def watch_head() -> HeadWatch:
    """For the cluster that this process is connected to; nothing is watched through Ray's client."""
    if ray.util.client.ray.is_connected():
        return HeadWatch("")
    return HeadWatch(ray.get_runtime_context().gcs_address)


def abandon_ray() -> None:
    """Have this process leave Ray as it is: its shutdown ends a process whose node is gone at once, with code 1."""
    _abandoned.set()
    atexit.register(_exit_process)  # runs before Ray's own, which was registered earlier


def shutdown_ray() -> None:
    """Disconnect from Ray; of one that was abandoned, only end the processes that were started here."""
    if not _abandoned.is_set():
        ray.shutdown()
    elif (node := ray._private.worker._global_node) is not None and node.is_head():
        node.kill_all_processes(check_alive=False)


def _exit_process() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STOPPED)
