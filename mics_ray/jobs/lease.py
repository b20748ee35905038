"""The claim on a folder that other hosts see, where a lock of the file system may be missing or end at the host.

filelock's lease does the work: a file made by ``O_EXCL`` names host, process and its start, and is touched at every
beat. A holder of this host that is dead is recognised at once. One of another host is dead when the file has not
changed for the lease's length on *our* monotonic clock, so that skewed clocks of hosts do not matter. Here is added:
a live holder is told apart from a dead one at its first beat, and who lost its claim ends before it writes again.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

from filelock import LeaseSettingsMismatch, OwnerRecord, SoftFileLease, Timeout
from filelock._identity import host_name  # pinned; as it stands in the claims

LEASE_S = 90.0
"""Longer than clients of NFS believe in a file's age (60 s)."""
BEATS = 9
"""Of a lease: the holder is alive for anybody who sees one of them."""
WATCH_S = 2.0
"""How often a holder looks whether it still holds the claim; a host that wakes up looks within that time."""
OWN_HOST_TRIES = 5


class ClaimHeld(Exception):
    """A live process holds the claim; the message says which."""


class Claim:
    """A claim on ``path``, held from construction until :meth:`release`; ``on_lost`` is called in a thread when another
    process has taken it over."""

    def __init__(self, path: Path, lease_s: float, tell: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        """Take the claim; one of a dead process is taken over. Raises :class:`ClaimHeld`, ``OSError``."""
        self._lease = SoftFileLease(
            path, lease_duration=lease_s, heartbeat_interval=lease_s / BEATS, mode=0o600, thread_local=False
        )
        self._acquire_claim(path, lease_s, tell)
        self._token = self._lease.token
        self._stop = Event()
        self._watch = Thread(target=self._watch_claim, args=(on_lost,), name="claim-watch", daemon=True)
        self._watch.start()

    def is_lost(self) -> bool:
        """Whether another process holds the claim, as the file says now."""
        if self._token is None:
            return True
        for _ in range(2):  # whoever looks at a claim may hold it aside for a moment
            owner = self._lease.owner
            if owner is not None and owner.token == self._token:
                return False
            time.sleep(0.2)
        return True

    def release(self) -> None:
        """Let go."""
        self._stop.set()
        self._token = None
        self._lease.release()

    def _acquire_claim(self, path: Path, lease_s: float, tell: Callable[[str], None]) -> None:
        first, tries = None, 0
        while True:
            try:
                self._lease.acquire(timeout=0)
                return
            except Timeout:
                owner, sign = self._lease.owner, _read_sign(path)
            except LeaseSettingsMismatch as error:
                raise ClaimHeld(str(error)) from None
            if owner is not None and _is_zombie(owner):
                if self._lease.owner == owner:  # nobody has taken it over meanwhile
                    path.unlink(missing_ok=True)
                continue
            tries += 1
            if owner is None or sign is None or owner.hostname == host_name():
                if owner is not None and tries >= OWN_HOST_TRIES:  # it is alive: filelock takes over a dead one's
                    raise ClaimHeld(_describe_owner(owner))
                time.sleep(0.05)
                continue
            if first is None:
                first = sign
                tell(f"{path.parent}: {_describe_owner(owner)} holds it; waiting {lease_s:.0f} s for a sign of life")
            elif sign != first:
                raise ClaimHeld(_describe_owner(owner))
            time.sleep(min(1.0, lease_s / BEATS / 2))

    def _watch_claim(self, on_lost: Callable[[], None]) -> None:
        while not self._stop.wait(WATCH_S):
            if self.is_lost() and not self._stop.is_set():
                on_lost()
                return


def _describe_owner(owner: OwnerRecord) -> str:
    return f"process {owner.pid} on {owner.hostname.split('?')[0]}"


def _is_zombie(owner: OwnerRecord) -> bool:
    """Whether the holder has ended here and its parent has not asked for it, as in containers whose first process asks
    for nobody: its number answers to signals still, so filelock takes it for alive."""
    if owner.hostname != host_name():
        return False
    try:
        return Path(f"/proc/{owner.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _read_sign(path: Path) -> tuple[int, int, int] | None:
    """What changes at every beat. Opened, for a client of NFS asks the server then."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        return found.st_mtime_ns, found.st_ino, found.st_ctime_ns
    finally:
        os.close(descriptor)


def tell_on_stderr(line: str) -> None:
    """One line, at once."""
    print(line, file=sys.stderr, flush=True)
