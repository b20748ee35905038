"""Precision and recall of the leak guard's words on labelled steps of our own (``benchmarks/leak_steps``).

``python -m benchmarks.leaks [--missed]`` from the project's folder prints the table of docs/results.md. The rules were
made on the development part; of the held-out part diagnoses and templates were kept back; ``--missed`` lists none.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from scipy.stats import binomtest

from benchmarks.leak_steps.fill import NEEDS_JUDGE, PARTS, LabelledStep, read_labelled_steps
from mics_ray.core.leaks import LeakGuard

COLUMNS = ("steps", "templates", "leaking / clean", "found", "wrongly flagged", "precision", "recall")


@dataclass(frozen=True, slots=True)
class Measure:
    """Counts of one part: ``found`` of ``leaking`` steps, ``flagged`` of ``clean`` ones."""

    label: str
    templates: int
    leaking: int
    found: int
    clean: int
    flagged: int

    def as_row(self) -> str:
        """A row of the docs' table."""
        cells = (
            *(self.label, self.templates, f"{self.leaking} / {self.clean}", self.found, self.flagged),
            _tell_share(self.found, self.found + self.flagged),
            _tell_share(self.found, self.leaking),
        )
        return f"| {' | '.join(map(str, cells))} |"


def measure_words() -> list[Measure]:
    """One measure for each part, and for what needs a judge in both."""
    steps = read_labelled_steps()
    worded = [one for one in steps if one.group != NEEDS_JUDGE]
    parts = [(part.replace("_", " "), [one for one in worded if one.part == part]) for part in PARTS]
    judged = [one for one in steps if one.group == NEEDS_JUDGE]
    return [_measure_part(label, part) for label, part in (*parts, ("needs a judge", judged))]


def list_mistakes() -> Iterator[LabelledStep]:
    """The steps of the development part on which the guard is wrong."""
    for one in read_labelled_steps():
        if one.part == PARTS[0] and one.group != NEEDS_JUDGE and _is_flagged(one) != one.leaks:
            yield one


def _measure_part(label: str, steps: Sequence[LabelledStep]) -> Measure:
    flagged = [one.leaks for one in steps if _is_flagged(one)]
    leaking = sum(one.leaks for one in steps)
    templates = len({one.template for one in steps})
    found = sum(flagged)
    return Measure(label, templates, leaking, found, len(steps) - leaking, len(flagged) - found)


def _is_flagged(one: LabelledStep) -> bool:
    return bool(LeakGuard(one.case).find_in_step(one.step))


def _tell_share(hits: int, of: int) -> str:
    """A share with Wilson's 95 % interval, in per cent."""
    if not of:
        return "-"
    bounds = binomtest(hits, of).proportion_ci(0.95, method="wilson")
    return f"{hits / of:.1%} ({bounds.low:.1%} to {bounds.high:.1%})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missed", action="store_true", help="list the mistakes on the development part")
    options, console = parser.parse_args(), Console(width=200)
    for line in (f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *(one.as_row() for one in measure_words())):
        console.print(line, markup=False, highlight=False)
    for one in list_mistakes() if options.missed else ():
        label = "leaks, not found" if one.leaks else "clean, but flagged"
        console.print(f"{label}: {one.case.answer} | {one.step}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
