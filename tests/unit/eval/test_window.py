"""The window of open items, and rows on their way to the disk."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from eval.prepare import Question
from eval.rows import ANSWERS, answer_row
from eval.types import Answered, Item, Kind
from eval.window import ROWS_PER_SHARD, Batches, Stopped, answer_all
from mics_ray.core.types import Usage, Verdict
from mics_ray.io.rows import Stamp
from mics_ray.io.shards import ShardStore, iter_rows, list_shards

STAMP = Stamp(0, "d", "v")


def questions(count: int) -> list[Question]:
    kinds = (Kind.OPEN, Kind.CLOSED)
    return [Question("b", Item(str(n), kinds[n % 2], "q", "gold"), Path()) for n in range(count)]


def row_of(question: Question, output: str = "o") -> dict[str, Any]:
    answered = Answered(question.item, "b", output, "p" if output else "", Verdict.RIGHT)
    return answer_row(answered, "prompt", Usage(), 0.0, STAMP)


async def answer(question: Question) -> dict[str, Any]:
    await asyncio.sleep(0)
    return row_of(question)


def on(folder: Path, score: Any = None) -> Batches:
    return Batches(ShardStore(folder, ANSWERS), score)


def ids(folder: Path) -> list[str]:
    return sorted(row["item_id"] for row in iter_rows(folder, kind=ANSWERS))


def going_on(running: int) -> bool:
    return False


async def test_every_question_has_one_row_in_few_shards(tmp_path: Path) -> None:
    batches = on(tmp_path)
    await answer_all(questions(150), answer, batches, 7, going_on)
    assert ids(tmp_path) == sorted(f"b/{n}" for n in range(150))
    assert batches.verdicts == {"right": 150}
    assert len(list_shards(tmp_path)) <= 150 // ROWS_PER_SHARD + 2


async def test_the_window_is_full_and_never_overfull_and_a_slow_item_holds_nobody_up(tmp_path: Path) -> None:
    running, most, last = 0, 0, asyncio.Event()

    async def slow_first(question: Question) -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await (last.wait() if question.item.id == "0" else asyncio.sleep(0))
        running -= 1
        if question.item.id == "19":
            last.set()
        return row_of(question)

    await answer_all(questions(20), slow_first, on(tmp_path), 4, going_on)
    assert most == 4
    assert len(ids(tmp_path)) == 20


async def test_a_stop_commits_what_is_done_and_gives_up_what_is_open(tmp_path: Path) -> None:
    cancelled = []

    async def some_hang(question: Question) -> dict[str, Any]:
        if int(question.item.id) < 5:
            return row_of(question)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(question.item.id)
            raise
        raise AssertionError

    with pytest.raises(Stopped):
        await answer_all(questions(20), some_hang, on(tmp_path), 8, lambda running: running == 8)
    assert ids(tmp_path) == [f"b/{n}" for n in range(5)]
    assert len(cancelled) == 8


async def test_an_error_ends_it_with_every_answer_kept(tmp_path: Path) -> None:
    async def breaks(question: Question) -> dict[str, Any]:
        if question.item.id == "3":
            raise OSError(28, "No space left on device")
        return row_of(question)

    with pytest.raises(OSError, match="No space"):
        await answer_all(questions(4), breaks, on(tmp_path), 4, going_on)
    assert ids(tmp_path) == ["b/0", "b/1", "b/2"]


async def test_open_answers_are_scored_before_they_are_committed(tmp_path: Path) -> None:
    seen: list[Sequence[str]] = []

    def score(candidates: Sequence[str], references: Sequence[str]) -> list[float]:
        seen.extend([candidates, references])
        return [0.5] * len(candidates)

    async def lost_for_two(question: Question) -> dict[str, Any]:
        return row_of(question, "" if question.item.id == "2" else "o")

    await answer_all(questions(6), lost_for_two, on(tmp_path, score), 6, going_on)
    found = {row["item_id"]: row["bert_score"] for row in iter_rows(tmp_path, kind=ANSWERS)}
    assert found == {"b/0": 0.5, "b/1": None, "b/2": None, "b/3": None, "b/4": 0.5, "b/5": None}
    assert seen == [["p", "p"], ["gold", "gold"]]


async def test_a_row_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.window.FIRST_AGE_S", 0.0)
    monkeypatch.setattr("eval.window.AGE_SHARE", 0.0)
    batches = on(tmp_path)
    batches.add(row_of(questions(1)[0]))
    await batches.flush_when_due()
    assert ids(tmp_path) == ["b/0"]
