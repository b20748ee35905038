"""The line that the driver shows while workers train: read from the log that they write."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from train.backends.base import Say
from train.backends.peft_log import FILE

SAID_EVERY = 0.1
"""Without a terminal a line is said each time this share of the steps is done."""


class StepLine:
    """A progress line of one stage; call :meth:`refresh` now and then."""

    def __init__(self, folder: Path, steps: int, say: Say) -> None:
        self._path, self._steps, self._say, self._said = folder / FILE, steps, say, 0
        console = Console(stderr=True)
        text = TextColumn("{task.description}")
        columns = (BarColumn(20), MofNCompleteColumn(), text, TimeRemainingColumn())
        self._live = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._live.add_task("starting", total=steps)

    def __enter__(self) -> "StepLine":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def refresh(self) -> None:
        """Show the last step that the log holds."""
        last = last_line(self._path)
        if last is None:
            return
        text = f"loss {last['loss']:.3f}"
        self._live.update(self._task, completed=last["step"], description=text)
        share = int(last["step"] / self._steps / SAID_EVERY)
        if self._live.disable and share > self._said:
            self._said = share
            self._say(f"step {last['step']}/{self._steps}, {text}")


def last_line(path: Path) -> dict[str, Any] | None:
    """The last whole line of a JSON log; ``None`` where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().splitlines(True)
    except FileNotFoundError:
        return None
    whole = [line for line in lines if line.endswith(b"\n") and line.startswith(b"{")]
    return dict(json.loads(whole[-1])) if whole else None
