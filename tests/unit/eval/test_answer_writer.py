"""Answered items are scored before they are committed, and counted afterwards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.answer_writer import AnswerWriter
from eval.prepare import Question
from eval.rows import ANSWERS, answer_row
from eval.types import Answered, Item, Kind
from mics_ray.core.types import Usage, Verdict
from mics_ray.io.rows import Stamp
from mics_ray.io.shards.reading import iter_rows
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import make_rows


def questions(count: int) -> list[Question]:
    kinds = (Kind.OPEN, Kind.CLOSED)
    return [Question("b", Item(str(n), kinds[n % 2], "q", "gold"), Path()) for n in range(count)]


async def answer(question: Question) -> dict[str, Any]:
    output = "" if question.item.id == "2" else "o"
    answered = Answered(question.item, "b", output, "p" if output else "", Verdict.RIGHT)
    return answer_row(answered, "prompt", Usage(), 0.0, Stamp(0, "d", "v"))


async def test_open_answers_are_scored_before_they_are_committed(tmp_path: Path) -> None:
    seen: list[Sequence[str]] = []

    def score(candidates: Sequence[str], references: Sequence[str]) -> list[float]:
        seen.extend([candidates, references])
        return [0.5] * len(candidates)

    answers = AnswerWriter(ShardStore(tmp_path, ANSWERS), score)
    await make_rows(questions(6), answer, answers.rows, 6, StopSignal())
    found = {row["item_id"]: row["bert_score"] for row in iter_rows(tmp_path, kind=ANSWERS)}
    assert found == {"b/0": 0.5, "b/1": None, "b/2": None, "b/3": None, "b/4": 0.5, "b/5": None}
    assert seen == [["p", "p"], ["gold", "gold"]]


async def test_verdicts_of_committed_items_are_counted_without_a_score_too(tmp_path: Path) -> None:
    answers = AnswerWriter(ShardStore(tmp_path, ANSWERS), None)
    await make_rows(questions(150), answer, answers.rows, 7, StopSignal())
    assert answers.verdicts == {"right": 150}
    rows = list(iter_rows(tmp_path, kind=ANSWERS))
    assert sorted(row["item_id"] for row in rows) == sorted(f"b/{n}" for n in range(150))
    assert {row["bert_score"] for row in rows} == {None}
