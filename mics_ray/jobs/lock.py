"""One run at a time: a lock that ends with its process, however that ends.

On one host that is ``flock``. Hosts that share a disk may each have their own locks (a mount with ``nolock`` or
``localflock``) or none: a shared lock holds a :class:`~mics_ray.jobs.lease.Claim` beside it.
"""

import errno
import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from mics_ray.errors import EXIT_STOPPED
from mics_ray.jobs.lease import LEASE_S, Claim, ClaimHeld, tell_on_stderr

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system without locks answers."""


class LockHeld(Exception):
    """Another process holds the lock; the message names the file and who wrote into it."""


class LockLost(OSError):
    """Another host holds what was held here, for this one gave no sign of life: nothing more may be written."""


def wait_for_lock(path: Path, patience_s: float, shared: bool = False) -> "RunLock":
    """Take a lock whose holder may be just ending, within ``patience_s`` seconds. Raises :class:`LockHeld`."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return RunLock(path, shared)
        except LockHeld:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class RunLock:
    """An advisory lock on a file, held from construction until :meth:`release` or the end of the process.

    With ``shared`` no process of another host holds it either. A process that was stopped for so long that another
    host took it for dead (``lease_s`` seconds) is ended when it wakes up, with 75.
    """

    def __init__(self, path: Path, shared: bool = False, lease_s: float = LEASE_S) -> None:
        """Take the lock; a file left by a dead process is taken over. Raises :class:`LockHeld`, ``OSError``."""
        self._path = path
        self._claim: Claim | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not self._lock_file() or shared:
                self._claim = Claim(Path(f"{path}.lease"), lease_s, tell_on_stderr, self._end_process)
        except ClaimHeld as held:
            self.release()
            raise LockHeld(f"{path}: held by another run ({held})") from None
        except BaseException:
            self.release()
            raise
        # Only now: until the lock is ours the file says who has it.
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def check_held(self) -> None:
        """Raise :class:`LockLost` where another host has taken the lock over; asked before each write that counts."""
        if self._claim is not None and self._claim.is_lost():
            raise LockLost(errno.ESTALE, "another host has taken the run over", str(self._path))

    def _lock_file(self) -> bool:
        """Whether this file system has locks. Raises :class:`LockHeld`, ``OSError``."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            raise LockHeld(f"{self._path}: held by another run ({holder or 'just starting'})") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return False
        return True

    def _end_process(self) -> None:
        tell_on_stderr(f"{self._path.parent}: another host has taken the run over; this process ends")
        os._exit(EXIT_STOPPED)

    def release(self) -> None:
        """Let go. The file stays: removing it would let two processes lock two files of one name."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        if self._descriptor >= 0:
            # Closing is not enough: a child that is just being started holds a copy for a moment.
            with suppress(OSError):  # a file system without locks
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def has_record_locks(folder: Path) -> bool:
    """Whether files in ``folder`` can be locked as SQLite does. Raises ``OSError``."""
    path = folder / f".locks-{os.getpid()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
    return True
