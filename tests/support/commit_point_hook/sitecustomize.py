"""In every Python process of a run that a :class:`tests.support.commit_points.Striker` starts: names its commit points.

A point is the moment before or after a call that changes what a run's folder holds. What is wanted stands in the file
``STRIKE_ORDER`` (see ``commit_points.Order``): with ``log`` every point becomes a line of that file; at point number
``nth`` named ``point`` the process leaves ``mark`` and kills the driver and itself. The folder of this file stands on
``PYTHONPATH``.
"""

import json
import os
import re
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ORDER = os.environ.get("STRIKE_ORDER", "")
ROLES = {"WriterActor": "writer", "EndpointActor": "endpoint", "SearchWorker": "worker"}
VISIBLE = ("rename", "fsync", "COMMIT")
"""After these something is there that was not; between any two other calls, after one is before the next."""

_real_open, _real_connect = os.open, sqlite3.connect
_seen: Counter[str] = Counter()
_lock = threading.Lock()


def _role() -> str:
    title = Path("/proc/self/cmdline").read_bytes().decode(errors="replace")
    if not title.startswith("ray::"):
        return "driver"
    actor = re.match(r"ray::(\w+)", title)
    return ROLES.get(actor[1] if actor else "", "other")


def _append(path: str, text: str) -> None:
    descriptor = _real_open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def _order() -> dict[str, Any]:
    """Read again at each point: Ray starts processes before it knows for which run."""
    found: dict[str, Any] = json.loads(Path(ORDER).read_text())
    return found


def _point(moment: str, call: str, path: str) -> None:
    """Say that this process is at a point; here it may end."""
    if not path or path.endswith((".log", ".lock")) or not path.startswith((order := _order())["root"]):
        return
    point = f"{_role()}: {moment} {call} {re.sub('[0-9]+', 'N', os.path.relpath(path, order['root']))}"
    with _lock:
        _seen[point] += 1
        if order["log"]:
            _append(order["log"], point + "\n")
        if point == order["point"] and _seen[point] == order["nth"]:
            _append(order["mark"], point + "\n")
            if not point.startswith("driver"):
                os.kill(order["driver"], signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def _around(call: str, path: str, do: Callable[[], Any]) -> Any:
    _point("before", call, path)
    done = do()
    if call in VISIBLE:
        _point("after", call, path)
    return done


def _patch(name: str, call: str, path_of: Callable[..., str]) -> None:
    real = getattr(os, name)

    def patched(*arguments: Any, **options: Any) -> Any:
        return _around(call, path_of(*arguments, **options), lambda: real(*arguments, **options))

    setattr(os, name, patched)


def _written(path: Any, flags: int = 0, *_: Any, **__: Any) -> str:
    """The path of a file that is opened to be written; a folder is opened to be synced."""
    return os.path.abspath(path) if flags & (os.O_WRONLY | os.O_RDWR) else ""


class Connection(sqlite3.Connection):
    """Statements that change something, and what ends them, are points."""

    at = ""

    def execute(self, statement: str, *arguments: Any) -> Any:
        word = statement.split(maxsplit=1)[0]
        if word not in ("BEGIN", "COMMIT", "INSERT", "UPDATE", "CREATE"):
            return super().execute(statement, *arguments)
        return _around(word, self.at, lambda: sqlite3.Connection.execute(self, statement, *arguments))

    def executemany(self, statement: str, *arguments: Any) -> Any:
        return _around("INSERT", self.at, lambda: sqlite3.Connection.executemany(self, statement, *arguments))

    def executescript(self, script: str) -> Any:
        return _around("CREATE", self.at, lambda: sqlite3.Connection.executescript(self, script))

    def __exit__(self, *error: Any) -> Any:
        return _around("COMMIT", self.at, lambda: sqlite3.Connection.__exit__(self, *error))


def _connect(database: Any, *arguments: Any, **options: Any) -> Any:
    if options.get("uri"):  # a reader, or a file that nobody knows of before its rename
        return _real_connect(database, *arguments, **options)
    connection = _real_connect(database, *arguments, factory=Connection, **options)
    connection.at = os.path.abspath(database)
    return connection


if ORDER:
    _patch("open", "open", _written)
    _patch("fsync", "fsync", lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}"))
    _patch("rename", "rename", lambda _, target: os.path.abspath(target))
    _patch("replace", "rename", lambda _, target: os.path.abspath(target))
    sqlite3.connect = _connect  # type: ignore[assignment]
