"""The account of a training: a JSON line and a TensorBoard point for each logged step, and the driver's progress line,
which is read from it."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from train.backends.base import Say

FILE = "log.jsonl"
SAID_EVERY = 0.1
"""Without a terminal a line is said each time this share of the steps is done."""


class TrainingLog:
    """Writes ``folder/log.jsonl`` and ``folder/tensorboard`` where ``writes`` is true, nothing elsewhere.

    What an earlier process logged beyond step ``done`` is taken back: those steps are trained again.
    """

    def __init__(self, folder: Path, done: int, writes: bool) -> None:
        self._folder, self._done, self._writes = folder, done, writes
        self._file: TextIO | None = None
        self._board: Any = None

    def __enter__(self) -> "TrainingLog":
        if self._writes:
            _drop_steps_beyond(self._folder / FILE, self._done)
            self._file = (self._folder / FILE).open("a", encoding="utf-8")
            self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=self._done + 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._board.close()

    def log_step(self, step: int, epoch: float, loss: float, rate: float, seconds: float) -> None:
        """One step: ``loss`` in nats a token, ``seconds`` of the step alone."""
        if self._file is None:
            return
        line = {
            "step": step,
            "epoch": round(epoch, 4),
            "loss": round(loss, 6),
            "learning_rate": rate,
            "seconds": round(seconds, 4),
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self._board.add_scalar("loss", loss, step)
        self._board.add_scalar("learning_rate", rate, step)


def _drop_steps_beyond(path: Path, done: int) -> None:
    """Keep the whole lines up to step ``done``."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines(True) if _step_of_line(line) <= done]
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)


def _step_of_line(line: str) -> float:
    """The step of a line; a line that a killed process left unfinished is beyond every step."""
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return float("inf")


class ProgressLine:
    """A progress line of one stage; call :meth:`show_last_step` now and then."""

    def __init__(self, folder: Path, steps: int, say: Say) -> None:
        self._path, self._steps, self._say, self._said = folder / FILE, steps, say, 0
        console = Console(stderr=True)
        text = TextColumn("{task.description}")
        columns = (BarColumn(20), MofNCompleteColumn(), text, TimeRemainingColumn())
        self._live = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._live.add_task("starting", total=steps)

    def __enter__(self) -> "ProgressLine":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show_last_step(self) -> None:
        """Show the last step that the log holds."""
        last = read_last_line(self._path)
        if last is None:
            return
        text = f"loss {last['loss']:.3f}"
        self._live.update(self._task, completed=last["step"], description=text)
        share = int(last["step"] / self._steps / SAID_EVERY)
        if self._live.disable and share > self._said:
            self._said = share
            self._say(f"step {last['step']}/{self._steps}, {text}")


def read_last_line(path: Path) -> dict[str, Any] | None:
    """The last whole line of a JSON log; ``None`` where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().splitlines(True)
    except FileNotFoundError:
        return None
    whole = [line for line in lines if line.endswith(b"\n") and line.startswith(b"{")]
    return dict(json.loads(whole[-1])) if whole else None
