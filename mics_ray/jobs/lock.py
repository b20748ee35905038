"""One run at a time: a lock that ends with its process, however that ends."""

import fcntl
import os
import socket
import time
from pathlib import Path
from types import TracebackType


class LockHeld(Exception):
    """Another process holds the lock; the message names the file and who wrote into it."""


def wait_for_lock(path: Path, patience_s: float) -> "RunLock":
    """Take a lock whose holder may be just ending, within ``patience_s`` seconds. Raises :class:`LockHeld`."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return RunLock(path)
        except LockHeld:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class RunLock:
    """An advisory lock on a file, held from construction until :meth:`release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock; a file left by a dead process is taken over. Raises :class:`LockHeld`, ``OSError``."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            self.release()
            raise LockHeld(f"{path}: held by another run ({holder or 'just starting'})") from None
        except OSError:
            self.release()
            raise
        # Only now: until the lock is ours the file says who has it.
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Let go. The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor >= 0:
            # Closing is not enough: a child that is just being started holds a copy for a moment.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
