"""One whole run of `scripts/generate.py` in a folder of its own, and what of its result must not depend on faults."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.program import command, generate, rows
from tests.support.provider import write_cases

CANONICAL = ("case_id", "outcome", "steps", "scores", "mentors", "nodes")
REPLIES = ("text", "judge_reply")


def drop_replies(value: Any) -> Any:
    """A value of a row without replies as they came, which providers may dress as they like."""
    if isinstance(value, dict):
        return {name: drop_replies(inner) for name, inner in value.items() if name not in REPLIES}
    return [drop_replies(inner) for inner in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class WholeRun:
    """``folder`` holds cases.jsonl, conf/ and, unless ``at`` says otherwise, the run's folder.

    ``extra``: more of the command line; ``environment``: more variables.
    """

    folder: Path
    cases: int
    window: int = 60
    at: Path | None = None
    extra: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_cases(self.folder / "cases.jsonl", self.cases)

    @property
    def dir(self) -> Path:
        """The run's folder."""
        return self.at or self.folder / "run"

    def arguments(self, *more: str) -> list[str]:
        """Of `generate.py`; the groups are those that a provider wrote into conf/."""
        return [
            "--config-dir", str(self.folder / "conf"), "mentors=test", "interns=test", "judge=test",
            f"data.cases={self.folder}/cases.jsonl", f"run.dir={self.dir}", f"window={self.window}",
            "ray.workers=1", *self.extra, *more,
        ]  # fmt: skip

    @contextmanager
    def start(self, *more: str) -> "Iterator[subprocess.Popen[str]]":
        """Start it in a session of its own and wait for its end; its messages go to ``folder/stderr``.

        A block that raises ends it: a test that fails does not wait for a run that never ends.
        """
        with subprocess.Popen(
            command(*self.arguments(*more)),
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr").open("a"),
            text=True,
            env={**os.environ, **self.environment},
            start_new_session=True,
        ) as started:
            try:
                yield started
            except BaseException:
                started.kill()
                raise

    def to_end(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return generate(*self.arguments(*more), **self.environment)

    def messages(self) -> str:
        """What runs that were started have said so far."""
        return (self.folder / "stderr").read_text()

    def committed(self) -> int:
        """Shards on disk."""
        return len(list((self.dir / "results").glob("part-*.parquet")))

    def result(self) -> list[list[Any]]:
        """The canonical result, by case id."""
        return [[row[name] for name in CANONICAL] for row in rows(self.dir)]

    def summary(self) -> dict[str, Any]:
        """The closing account."""
        found: dict[str, Any] = json.loads((self.dir / "summary.json").read_text())
        return found

    def megabytes(self) -> float:
        """Size of the run's folder."""
        files = (Path(root, name) for root, _, names in os.walk(self.dir) for name in names)
        return sum(file.stat().st_size for file in files) / 2**20
