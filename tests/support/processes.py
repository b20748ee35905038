"""Processes of a run, found by parenthood, so that a test ends only what it started."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> Iterator[int]:
    """All processes below ``pid``."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            yield child
            waiting.append(child)


def named(pid: int, title: str) -> list[int]:
    """The descendants of ``pid`` whose command line begins with ``title``, such as ``ray::SearchWorker``."""
    found = []
    for child in descendants(pid):
        try:
            line = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if line.startswith(title.encode()):
            found.append(child)
    return found


def kill(pid: int) -> None:
    """SIGKILL, which nothing can catch."""
    os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], object], timeout_s: float = 300, poll_s: float = 0.05) -> None:
    """Poll for a condition. Raises ``TimeoutError``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(poll_s)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def until_ended(pid: int, timeout_s: float = 30) -> None:
    """Poll until a process has ended. Raises ``TimeoutError`` with what it is and where it waits."""
    try:
        until(lambda: not alive(pid), timeout_s)
    except TimeoutError:
        folder = Path(f"/proc/{pid}")
        facts = {name: (folder / name).read_text().replace("\0", " ") for name in ("stat", "wchan", "cmdline")}
        raise TimeoutError(f"process {pid} has not ended: {facts}") from None


class ProcessLooks:
    """While it is entered, calls ``look`` with the folder in ``/proc`` of each process, again and again.

    ``below``: of the processes below this one only. One that ends meanwhile is passed over.
    """

    def __init__(self, look: Callable[[Path], None], below: int | None = None) -> None:
        self._look, self._below = look, below
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    def __enter__(self) -> "ProcessLooks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(0.05):
            found = Path("/proc").glob("[0-9]*")
            for folder in found if self._below is None else [Path(f"/proc/{pid}") for pid in descendants(self._below)]:
                with suppress(OSError):
                    self._look(folder)
