"""`mics watch` on a terminal: drawn again and again on a screen of its own, and what stays when it ends."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mics_ray.io.shards.store import ShardStore
from tests.support.program import ROOT
from tests.support.run_folders import row

pytestmark = pytest.mark.heavy

ENTER, LEAVE, HIDE, SHOW = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h"
PATIENCE_S = 120


class Terminal:
    """The program behind a pseudo-terminal of 80 x 24."""

    def __init__(self, folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, str(ROOT / "scripts/watch.py"), f"run.dir={folder}"]
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm-256color"}
        )
        os.close(theirs)
        self.shown = b""

    def read_until(self, done: Callable[[bytes], bool]) -> bytes:
        """What was shown so far, when ``done`` holds of it."""
        deadline = time.monotonic() + PATIENCE_S
        while not done(self.shown):
            assert time.monotonic() < deadline, self.shown.decode(errors="replace")
            if select.select([self._ours], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._ours, 1 << 16)
                except OSError:  # Linux: the other side is closed
                    assert done(self.shown), self.shown.decode(errors="replace")
        return self.shown

    def end(self) -> bytes:
        """What was shown in all, when the program has ended."""
        with suppress(OSError):  # Linux: the other side is closed
            while select.select([self._ours], [], [], PATIENCE_S)[0]:
                self.shown += os.read(self._ours, 1 << 16)
        assert self.process.wait(PATIENCE_S) == 0
        os.close(self._ours)
        return self.shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run under way."""
    (tmp_path / "identity.json").write_text("{}")
    (tmp_path / "live.json").write_text(json.dumps({"records": 3, "metrics": []}))
    ShardStore(tmp_path / "results").commit([row("a")])
    return tmp_path


def test_it_is_drawn_anew_and_ends_with_the_run_whose_last_screen_stays(folder: Path) -> None:
    terminal = Terminal(folder)
    terminal.read_until(lambda shown: b"1 of 3 cases" in shown)
    ShardStore(folder / "results").commit([row("b"), row("c")])
    terminal.read_until(lambda shown: b"3 of 3 cases" in shown)
    (folder / "summary.json").write_text(json.dumps({"finished": True}))
    shown = terminal.end()
    assert shown.count(ENTER) == shown.count(LEAVE) == 1
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    last = shown.rpartition(LEAVE)[2].decode()
    assert "finished" in last
    assert "3 of 3 cases" in last


def test_ctrl_c_ends_it_well_and_the_last_screen_stays(folder: Path) -> None:
    terminal = Terminal(folder)
    terminal.read_until(lambda shown: b"1 of 3 cases" in shown)
    terminal.process.send_signal(signal.SIGINT)
    shown = terminal.end()
    last = shown.rpartition(LEAVE)[2].decode()
    assert "1 of 3 cases" in last
    assert "Traceback" not in last
    assert shown.count(HIDE) == shown.count(SHOW) == 1
