"""The account of a training: one JSON line and one TensorBoard point for each logged step."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from torch.utils.tensorboard import SummaryWriter

FILE = "log.jsonl"


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
            _cut(self._folder / FILE, self._done)
            self._file = (self._folder / FILE).open("a", encoding="utf-8")
            self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=self._done + 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._board.close()

    def write(self, step: int, epoch: float, loss: float, rate: float, seconds: float) -> None:
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


def _cut(path: Path, done: int) -> None:
    """Keep the whole lines up to step ``done``."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines(True) if _step(line) <= done]
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)


def _step(line: str) -> float:
    """The step of a line; a line that a killed process left unfinished is beyond every step."""
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return float("inf")
