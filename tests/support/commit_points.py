"""Runs that end at a commit point: the moment before or after a call that changes what their folder holds."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.whole_run import WholeRun

HOOK = Path(__file__).with_name("commit_point_hook")


@dataclass(frozen=True)
class Order:
    """What `commit_point_hook/sitecustomize.py` reads; ``driver`` is the process that dies with the one that is struck.

    An empty ``log`` or ``point`` is none.
    """

    root: str
    driver: int = 0
    log: str = ""
    point: str = ""
    nth: int = 1
    mark: str = ""


@dataclass
class Striker:
    """Gives orders, one run at a time, to the processes whose environment is ``environment``; ``folder`` is its own."""

    folder: Path
    struck: Counter[str] = field(default_factory=Counter)

    @property
    def environment(self) -> dict[str, str]:
        """For the driver and for whatever starts its actors."""
        return {"PYTHONPATH": str(HOOK), "STRIKE_ORDER": str(self.folder / "order")}

    def stand_down(self) -> None:
        """Let everything pass that goes on from here."""
        self._give(Order("/nowhere"))

    def points(self, run: WholeRun) -> Counter[str]:
        """Run to the end and name the points that it passed, with how often. Raises ``RuntimeError`` if it fails."""
        log = self.folder / "log"
        if code := self._to_end(run, Order(_root(run), log=str(log))):
            raise RuntimeError(f"exit code {code}: {run.messages()}")
        return Counter(log.read_text().splitlines())

    def strike(self, run: WholeRun, point: str, nth: int = 1) -> bool:
        """Run until a process of ``run`` is at ``point`` for the ``nth`` time and dies with the driver; whether it was.

        Raises ``RuntimeError`` where the run ended otherwise than struck or done.
        """
        mark = self.folder / "mark"
        mark.unlink(missing_ok=True)
        code = self._to_end(run, Order(_root(run), point=point, nth=nth, mark=str(mark)))
        if code not in (0, -9) or mark.exists() != (code == -9):
            raise RuntimeError(f"exit code {code} at {point}: {run.messages()}")
        self.struck[point] += mark.exists()
        return mark.exists()

    def _to_end(self, run: WholeRun, order: Order) -> int:
        self._give(order)
        with run.start() as driver:
            self._give(replace(order, driver=driver.pid))
            try:
                return driver.wait(600)
            finally:
                self.stand_down()

    def _give(self, order: Order) -> None:
        """In one step: it may be read at any moment."""
        fresh = self.folder / "order.new"
        fresh.write_text(json.dumps(vars(order)))
        os.replace(fresh, self.folder / "order")


def _root(run: WholeRun) -> str:
    return str(run.dir.absolute())
