"""The report and the comparison of small stored evaluations: `eval_report/`.

Where a difference is meant: `pytest tests/golden --regenerate-golden`.
"""

from pathlib import Path

from eval.reports.comparison import compare_evaluations, write_comparison
from eval.reports.report import write_evaluation_report
from eval.rows import SCHEMA, SCHEMA_VERSION
from eval.types import Answered, Kind
from tests.support.evaluations import CONFIG, answered, evaluation

STORED = Path(__file__).parent / "eval_report"
TUNED = {**CONFIG, "model": "tuned", "serve": {**CONFIG["serve"], "model": "tuned", "max_tokens": 256}}


def items(slake: str, expert: str) -> list[Answered]:
    """A set with two modalities, and one with two topics."""
    topics = ("Reasoning", "Understanding")
    found: list[Answered] = [
        answered("slake", n, one, modality=("CT", "MRI")[n % 3 == 0], kind=Kind.CLOSED if n < 3 else Kind.OPEN)
        for n, one in enumerate(slake)
    ]
    return found + [answered("medxpertqa_mm", n, one, topic=topics[n % 2]) for n, one in enumerate(expert)]


def same(found: Path, names: tuple[str, ...], regenerate: bool) -> None:
    for name in names:
        text = (found / name).read_text().replace(str(found.parent), "FOLDER")
        if regenerate:
            (STORED / name).write_text(text)
        assert text == (STORED / name).read_text()


def test_the_report_is_the_stored_one(tmp_path: Path, regenerate: bool) -> None:
    folder = evaluation(tmp_path / "a", items("rrwwrnurlw", "wwrwlw"), bert_score=0.625)
    write_evaluation_report(folder)
    same(folder, ("report.json", "report.md"), regenerate)


def test_the_comparison_is_the_stored_one(tmp_path: Path, regenerate: bool) -> None:
    a = evaluation(tmp_path / "a", items("rrwwrnurlw", "wwrwlw"))
    b = evaluation(tmp_path / "b", items("rrrrrrrwrr", "wrrwrwr"), TUNED)
    write_comparison(compare_evaluations(a, b), tmp_path / "out")
    same(tmp_path / "out", ("compare.json", "compare.md", "flips.jsonl"), regenerate)


def test_the_schema_of_an_answer_is_the_stored_one(regenerate: bool) -> None:
    """A change here is a change for every reader: raise SCHEMA_VERSION with it."""
    text = "".join(f"{line}\n" for line in (f"version {SCHEMA_VERSION}", *(f"{f.name}: {f.type}" for f in SCHEMA)))
    if regenerate:
        (STORED / "answer_schema.txt").write_text(text)
    assert text == (STORED / "answer_schema.txt").read_text()
