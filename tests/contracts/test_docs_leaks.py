"""docs/results.md tells the leak guard's figures as the benchmark measures them."""

from pathlib import Path

from benchmarks.leak_steps.fill import NEEDS_JUDGE, PARTS, read_labelled_steps
from benchmarks.leaks import COLUMNS, measure_words

DOCS = (Path(__file__).resolve().parents[2] / "docs/results.md").read_text(encoding="utf-8")


def test_the_figures_of_the_docs_are_those_of_the_benchmark() -> None:
    head = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
    assert head + "\n".join(one.as_row() for one in measure_words()) in DOCS


def test_a_third_of_the_labelled_steps_is_held_out_by_diagnosis_and_template() -> None:
    steps = read_labelled_steps()
    development, held_out = ([one for one in steps if one.part == part] for part in PARTS)
    assert len(steps) >= 300
    assert len(held_out) * 3 >= len(steps)
    named = [{one.case.id.removeprefix(one.part) for one in part} for part in (development, held_out)]
    assert named[0].isdisjoint(named[1])
    told = [{one.template for one in part if one.group != NEEDS_JUDGE} for part in (development, held_out)]
    assert told[0].isdisjoint(told[1])
