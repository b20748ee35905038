"""Two evaluations side by side: paired difference, exact test, and the items that flipped."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.reports import statistics
from eval.reports.evaluation_files import read_answer_rows, read_evaluation_config
from eval.reports.markdown import NOT_ASKED, SCORING, format_percent
from eval.reports.statistics import Mark, Paired, mark_row
from eval.served import asks_for_form, model_name, served_differently
from mics_ray.errors import RefusedRun
from mics_ray.intervals import CONFIDENCE
from mics_ray.private_files import make_private_folder, write_private

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One evaluation: its folder, its model, its configuration, its rows by item id."""

    folder: Path
    model: str
    config: Mapping[str, Any]
    rows: Mapping[str, Row]

    def item_marks(self, benchmark: str | None = None) -> list[Mark]:
        """The marks of a benchmark, or of all."""
        return [mark_row(row) for row in self.rows.values() if benchmark in (None, row["benchmark"])]


@dataclass(frozen=True, slots=True)
class EvaluationComparison:
    """B against A: over all common items and per benchmark; what was served differently.

    ``total`` and ``benchmarks`` are by lenient verdicts, ``strict_total`` and ``strict_benchmarks`` by strict ones.
    ``lost`` are common items whose call was lost on a side, ``only_a`` and ``only_b`` items that the other has not.
    """

    a: Side
    b: Side
    total: Paired
    strict_total: Paired
    benchmarks: Mapping[str, Paired]
    strict_benchmarks: Mapping[str, Paired]
    served_differently: Sequence[str]
    lost: int
    only_a: int
    only_b: int

    def as_json(self) -> dict[str, Any]:
        """Everything but the texts of the items."""
        return {
            "a": {"folder": str(self.a.folder), "model": self.a.model, "items_only_here": self.only_a},
            "b": {"folder": str(self.b.folder), "model": self.b.model, "items_only_here": self.only_b},
            "served_differently": list(self.served_differently),
            "lost_items": self.lost,
            "confidence": CONFIDENCE,
            "all": asdict(self.total) | {"strict": asdict(self.strict_total)},
            "benchmarks": {
                name: asdict(paired) | {"strict": asdict(self.strict_benchmarks[name])}
                for name, paired in self.benchmarks.items()
            },
        }

    def iter_flips(self) -> Iterator[dict[str, Any]]:
        """The flipped items with both answers, those that became right first."""
        for change, ids in (("better", self.total.better), ("worse", self.total.worse)):
            for one in ids:
                a, b = self.a.rows[one], self.b.rows[one]
                shared = {name: a[name] for name in ("item_id", "question", "images", "gold")}
                sides = {
                    f"{name}_{side}": row[name] for side, row in (("a", a), ("b", b)) for name in ("parsed", "output")
                }
                yield {"change": change} | shared | sides


def compare_evaluations(first: Path, second: Path) -> EvaluationComparison:
    """Compare the evaluations of two folders, model B (``second``) against model A (``first``).

    Raises :class:`RefusedRun` for a folder without evaluation, without common items, or where an item is another one.
    """
    a, b = read_side(first), read_side(second)
    common = list_common_items(a, b)
    names = dict.fromkeys(a.rows[one]["benchmark"] for one in common)
    # Over all benchmarks at once, not a mean of means: the test needs the single flips.
    total = statistics.compare_marks(a.item_marks(), b.item_marks())
    return EvaluationComparison(
        a=a,
        b=b,
        total=total,
        strict_total=_compare_strictly(a, b),
        benchmarks={name: statistics.compare_marks(a.item_marks(name), b.item_marks(name)) for name in names},
        strict_benchmarks={name: _compare_strictly(a, b, name) for name in names},
        served_differently=served_differently(a.config, b.config),
        lost=len(common) - total.items,
        only_a=len(a.rows) - len(common),
        only_b=len(b.rows) - len(common),
    )


def list_common_items(a: Side, b: Side) -> list[str]:
    """The ids that both have. Raises :class:`RefusedRun` where there is none, or where one is another item in B."""
    common = [one for one in a.rows if one in b.rows]
    if not common:
        raise RefusedRun(f"{a.folder} and {b.folder} have no common items; evaluate both on the same benchmarks")
    for one in common:
        # By content, not by id: two releases of a benchmark may number other questions alike.
        if any(a.rows[one][name] != b.rows[one][name] for name in ("question", "gold", "images")):
            raise RefusedRun(
                f"item {one} is another one in {b.folder} than in {a.folder}: the benchmark itself differs"
            )
    return common


def _compare_strictly(a: Side, b: Side, benchmark: str | None = None) -> Paired:
    return statistics.compare_marks(*(statistics.use_strict(side.item_marks(benchmark)) for side in (a, b)))


def write_comparison(found: EvaluationComparison, folder: Path) -> None:
    """Write compare.json, compare.md and flips.jsonl (with the texts) into ``folder``. Raises ``OSError``."""
    make_private_folder(folder)
    # The flips alone hold texts of items, so the other two files can be shown around.
    lines = "".join(json.dumps(flip, ensure_ascii=False) + "\n" for flip in found.iter_flips())
    write_private(folder / "compare.json", (json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n").encode())
    write_private(folder / "compare.md", render_comparison(found).encode())
    write_private(folder / "flips.jsonl", lines.encode())


def render_comparison(found: EvaluationComparison) -> str:
    """The comparison for reading: ids, no texts of the items."""
    parts = [
        f"# {found.b.model} (B) against {found.a.model} (A)",
        _comparison_table(found),
        _explain_methods(found),
        SCORING
        + " The gain is the lenient one: a model that only learnt the form gains nothing by it. Flips below are "
        "lenient ones.",
        *_list_warnings(found),
        *(_list_flips(name, paired) for name, paired in found.benchmarks.items() if paired.better or paired.worse),
    ]
    return "\n\n".join(parts) + "\n"


def read_side(folder: Path) -> Side:
    """One evaluation. Raises :class:`RefusedRun` for a folder without one."""
    config = read_evaluation_config(folder)
    rows = {row["item_id"]: row for row in read_answer_rows(folder)}
    return Side(folder, model_name(config), config, rows)


def _comparison_table(found: EvaluationComparison) -> str:
    named = {name: (paired, found.strict_benchmarks[name]) for name, paired in found.benchmarks.items()}
    if len(named) > 1:
        named["all items"] = found.total, found.strict_total
    clustered = any(paired.p_clustered is not None for both in named.values() for paired in both)
    names = ["benchmark", "scored", "items", "A", "B", "difference", "95 % interval", "p", "better", "worse"]
    if clustered:
        names.insert(8, "p by picture")
    lines = (
        _benchmark_line(f"{name} | {scored}", paired, clustered)
        for name, both in named.items()
        for scored, paired in zip(("lenient", "strict"), both, strict=True)
    )
    head = f"| {' | '.join(names)} |\n|---|---|{'---:|' * (len(names) - 2)}"
    return "\n".join([head, *lines])


def _benchmark_line(name: str, paired: Paired, clustered: bool) -> str:
    numbers = [str(paired.items), format_percent(paired.accuracy_a), format_percent(paired.accuracy_b)]
    numbers += ["–" if paired.difference is None else f"{100 * paired.difference:+.1f}", format_change(paired)]
    numbers += [_format_p(paired.p_value), *([_format_p(paired.p_clustered)] if clustered else [])]
    return f"| {' | '.join([name, *numbers, str(len(paired.better)), str(len(paired.worse))])} |"


def format_change(paired: Paired) -> str:
    """The interval of a difference in percentage points; a dash with the reason where one picture gives none."""
    if paired.low is None or paired.high is None:
        return "– (one picture)" if paired.items else "–"
    return f"{100 * paired.low:+.1f} to {100 * paired.high:+.1f}"


def _format_p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _explain_methods(found: EvaluationComparison) -> str:
    text = (
        "Difference and interval in percentage points, B minus A over the items that both answered. The interval is "
        "Bonett and Price's, which holds for few pairs and few flips. p: the exact McNemar test of the flips, which "
        "takes items as independent. Better: only B is right; worse: only A is."
    )
    if found.total.p_clustered is None:
        return f"{text} No picture repeats: p is the test to read."
    return (
        f"{text} Pictures repeat ({found.total.items} items, {found.total.clusters} pictures): the interval is of as "
        "many independent pairs as would vary like the pictures do, and the test to read is p by picture, the exact "
        "sign test of the pictures' net flips."
    )


def _list_warnings(found: EvaluationComparison) -> list[str]:
    warnings = []
    if found.served_differently:
        lines = "\n".join(f"- {line}" for line in found.served_differently)
        warnings.append(f"**Not served alike**, so the difference is not the models' alone:\n\n{lines}")
    if not all(asks_for_form(side.config) for side in (found.a, found.b)):
        warnings.append(NOT_ASKED)
    if found.lost or found.only_a or found.only_b:
        apart = f"{found.only_a} items that only A has, {found.only_b} that only B has"
        warnings.append(f"Left out: {found.lost} items whose call was lost on a side, {apart}.")
    return warnings


def _list_flips(name: str, paired: Paired) -> str:
    better, worse = (", ".join(ids) or "none" for ids in (paired.better, paired.worse))
    return f"## Flipped in {name}\n\nbetter: {better}\n\nworse: {worse}"
