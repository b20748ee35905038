"""A figure: its name, its raw values, its goal, and whether it may be believed."""

import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LOAD_LIMIT = 2.0
OTHERS_LIMIT = 0.3
"""Cores that other programs may take: the load average counts the benchmark's own processes too."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a median has to be: ``sign`` is ``<=`` or ``>=``."""

    sign: str
    value: float

    def holds(self, value: float) -> bool:
        """Whether a value reaches the goal."""
        return value <= self.value if self.sign == "<=" else value >= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one benchmark (``key``: B1 to B11). ``values``: one a run; ``said``: what a reader must know.

    ``others``: cores that other programs kept busy meanwhile, by run; ``load``: the machine's load average then.
    """

    key: str
    name: str
    unit: str
    values: tuple[float, ...]
    goal: Goal | None = None
    said: str = ""
    others: tuple[float, ...] = ()
    load: tuple[float, ...] = ()

    @property
    def median(self) -> float | None:
        """Of all runs; ``None`` where it could not be measured, and ``said`` says why."""
        return statistics.median(self.values) if self.values else None

    @property
    def valid(self) -> bool:
        """Whether the machine was quiet enough: a load below 2, or, where it was the benchmark's own, nobody else."""
        quiet = max(self.load, default=0.0) <= LOAD_LIMIT
        return quiet or (bool(self.others) and statistics.median(self.others) <= OTHERS_LIMIT)

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return asdict(self) | {"median": self.median, "valid": self.valid, "met": self.met}

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; ``None`` where there is none."""
        return None if self.goal is None or self.median is None else self.goal.holds(self.median)


def read_figure(found: Mapping[str, Any]) -> Figure:
    """A figure from :meth:`Figure.as_json`."""
    goal = None if found["goal"] is None else Goal(**found["goal"])
    values, others, load = (tuple(found[name]) for name in ("values", "others", "load"))
    return Figure(found["key"], found["name"], found["unit"], values, goal, found["said"], others, load)


@dataclass(frozen=True, slots=True)
class Setting:
    """How a benchmark is to be run: full sizes or ``quick`` ones, in a folder of its own."""

    folder: Path
    quick: bool = False

    @property
    def runs(self) -> int:
        """How often a figure is measured."""
        return 2 if self.quick else 5

    def choose(self, full: int, quick: int) -> int:
        """A size."""
        return quick if self.quick else full


Measure = Callable[[Setting], Iterator[Figure]]


def current_load() -> float:
    """Processes that ran or waited in the last minute."""
    return os.getloadavg()[0]
