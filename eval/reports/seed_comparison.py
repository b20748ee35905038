"""Evaluations of several training seeds side by side: one table, its JSON, what was served differently."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.reports.comparison import Side, list_common_items, read_side
from eval.reports.markdown import NOT_ASKED, escape_cell, format_percent, format_table
from eval.reports.seeds import SeededPaired, compare_seeds
from eval.reports.statistics import use_strict
from eval.served import asks_for_form, served_differently
from mics_ray.errors import RefusedRun
from mics_ray.intervals import CONFIDENCE
from mics_ray.private_files import make_private_folder, write_private

NOTE = (
    "Accuracies are means over seeds; differences and intervals in percentage points, B minus A over the items "
    "that every model answered. The interval to read is that over seeds and items: what other training seeds and "
    "other items of the same kind would give. Over items: these seeds as given (Bonett and Price's, of pictures "
    "where they repeat); over seeds: these items as given (Student's t of the seeds' differences). Squares of "
    "both half-widths are added. What the seeds do not vary, such as the searched chains, is the same in all of "
    "them. Two or three seeds allow no test."
)


@dataclass(frozen=True, slots=True)
class SeedComparison:
    """B against A over training seeds: (lenient, strict) over all items and per benchmark.

    ``left_out`` are items that are not in every evaluation or whose call was lost in one.
    """

    a: Sequence[Side]
    b: Sequence[Side]
    total: tuple[SeededPaired, SeededPaired]
    benchmarks: Mapping[str, tuple[SeededPaired, SeededPaired]]
    served_differently: Sequence[str]
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        sides = {"a": self.a, "b": self.b}
        return {
            **{name: [{"folder": str(one.folder), "model": one.model} for one in side] for name, side in sides.items()},
            "served_differently": list(self.served_differently),
            "left_out_items": self.left_out,
            "confidence": CONFIDENCE,
            "all": _pair_as_json(self.total),
            "benchmarks": {name: _pair_as_json(both) for name, both in self.benchmarks.items()},
        }


def compare_seed_evaluations(first: Sequence[Path], second: Sequence[Path]) -> SeedComparison:
    """Compare the evaluations of model B's training seeds (``second``) with those of model A's, or with A alone.

    Raises :class:`RefusedRun` for a folder without evaluation, without common items, where an item is another one,
    where one model stands for two seeds, and for sides of several, but not as many, seeds.
    """
    if len(first) != len(second) and 1 not in (len(first), len(second)):
        raise RefusedRun(f"{len(first)} seeds against {len(second)}: give as many on both sides, or one model on one")
    a, b = ([read_side(folder) for folder in side] for side in (first, second))
    for side in (a, b):
        _refuse_repeated(side)
    for one in [*a, *b][1:]:
        list_common_items(a[0], one)
    total = _compare_sides(a, b)
    names = dict.fromkeys(
        row["benchmark"] for item, row in a[0].rows.items() if all(item in one.rows for one in [*a, *b])
    )
    every = {item for one in [*a, *b] for item in one.rows}
    different = dict.fromkeys(line for one in [*a, *b][1:] for line in served_differently(a[0].config, one.config))
    benchmarks = {name: _compare_sides(a, b, name) for name in names}
    return SeedComparison(a, b, total, benchmarks, list(different), len(every) - total[0].items)


def write_seed_comparison(found: SeedComparison, folder: Path) -> None:
    """Write compare.json and compare.md into ``folder``. Raises ``OSError``."""
    make_private_folder(folder)
    write_private(folder / "compare.json", (json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n").encode())
    write_private(folder / "compare.md", render_seed_comparison(found).encode())


def render_seed_comparison(found: SeedComparison) -> str:
    """The comparison for reading."""
    named = dict(found.benchmarks) | ({"all items": found.total} if len(found.benchmarks) > 1 else {})
    head = ["benchmark", "scored", "seeds", "items", "A", "B", "difference", "over seeds and items", "over items"]
    lines = [
        _seed_line(name, scored, paired)
        for name, both in named.items()
        for scored, paired in zip(("lenient", "strict"), both, strict=True)
    ]
    models = [f"{name}: {', '.join(escape_cell(one.model) for one in side)}" for name, side in
              (("A", found.a), ("B", found.b))]  # fmt: skip
    parts = ["# Over training seeds, B against A", "\n\n".join(models)]
    parts += [format_table([*head, "over seeds", "each seed"], lines), NOTE]
    if not all(asks_for_form(side.config) for side in [*found.a, *found.b]):
        parts.append(NOT_ASKED)
    if found.left_out:
        parts.append(
            f"Left out: {found.left_out} items that are not in every evaluation, or whose call was lost in one."
        )
    if found.served_differently:
        different = "\n".join(f"- {line}" for line in found.served_differently)
        parts.append(f"**Not served alike**, so the difference is not the models' alone:\n\n{different}")
    return "\n\n".join(parts) + "\n"


def _seed_line(name: str, scored: str, paired: SeededPaired) -> list[str]:
    counts = [escape_cell(name), scored, str(paired.seeds), str(paired.items)]
    shares = [format_percent(paired.accuracy_a), format_percent(paired.accuracy_b), _format_points(paired.difference)]
    ends = ((paired.low, paired.high), (paired.items_low, paired.items_high), (paired.seeds_low, paired.seeds_high))
    ranges = ["–" if low is None else f"{_format_points(low)} to {_format_points(high)}" for low, high in ends]
    return [*counts, *shares, *ranges, " ".join(map(_format_points, paired.by_seed)) or "–"]


def _format_points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"


def _compare_sides(
    a: Sequence[Side], b: Sequence[Side], benchmark: str | None = None
) -> tuple[SeededPaired, SeededPaired]:
    first, second = ([one.item_marks(benchmark) for one in side] for side in (a, b))
    strict = ([use_strict(marks) for marks in side] for side in (first, second))
    return compare_seeds(first, second), compare_seeds(*strict)


def _pair_as_json(both: tuple[SeededPaired, SeededPaired]) -> dict[str, Any]:
    return asdict(both[0]) | {"strict": asdict(both[1])}


def _refuse_repeated(side: Sequence[Side]) -> None:
    models = [one.model for one in side]
    if repeated := [model for model in dict.fromkeys(models) if models.count(model) > 1]:
        raise RefusedRun(f"{repeated[0]} stands for two training seeds: one model evaluated twice is one seed")
