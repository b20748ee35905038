"""Searches over real HTTP: whatever clothes replies come in, the result is that of plain ones; a cut reply is none."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mics_ray.core.reading.text import parse_answer, parse_continuation
from mics_ray.core.reading.verdict import parse_verdict
from mics_ray.core.types import Verdict
from mics_ray.models.roles import read_said
from mics_ray.models.types import Reply
from tests.support.dressed_provider import FORMS, DressedProvider
from tests.support.http_search import CASES, ROOM, search

SEARCHED = ("channels", "tagged")
"""Thoughts, and another marker and verdict: of each kind one form in whole searches, each form where it is read."""


def found(rows: list[dict[str, Any]]) -> list[Any]:
    """What the searches found: all but the replies themselves."""
    return [
        (
            row["outcome"], row["steps"], row["final_answer"],
            [(node["mentor"], node["steps"], node["score"], node["failure"]) for node in row["nodes"]],
            [(vote["answer"], vote["verdict"], vote["failure"]) for node in row["nodes"] for vote in node["votes"]],
        )
        for row in rows
    ]  # fmt: skip


def votes(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All votes of the rows."""
    return (vote for row in rows for node in row["nodes"] for vote in node["votes"])


@dataclass(frozen=True)
class Calm:
    """What plain replies give: rows, and calls by kind of model."""

    rows: list[dict[str, Any]]
    calls: Counter[str]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    with DressedProvider() as plain:
        rows = asyncio.run(search(tmp_path_factory.mktemp("calm"), plain))
    assert {vote["verdict"] for vote in votes(rows)} == {"right", "wrong"}
    return Calm(rows, plain.calls())


@pytest.mark.parametrize(
    "form", [form if form in SEARCHED else pytest.param(form, marks=pytest.mark.slow) for form in FORMS]
)
async def test_the_clothes_of_replies_change_nothing(tmp_path: Path, calm: Calm, form: str) -> None:
    with DressedProvider(form=form) as dressed:
        other = await search(tmp_path, dressed)
    assert found(other) == found(calm.rows)
    assert dressed.calls() == calm.calls, "nothing is asked again"
    assert all(vote["text"] and vote["judge_reply"] for vote in votes(other))


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_as_the_plain_text(form: str) -> None:
    """The seam in which the forms differ: what a search reads of a reply of each kind of model."""
    dress = FORMS[form]
    chain = "### Step 1: The film is good.\n\n### The final answer is: Bulla"
    for kind in ("mentor", "intern"):
        said = read_said(Reply(dress(kind, chain), "stop"))
        assert said is not None
        assert parse_answer(said) == "Bulla"
    assert parse_continuation(said, ()) == parse_continuation(chain, ())
    for word, verdict in (("Yes", Verdict.RIGHT), ("No", Verdict.WRONG)):
        assert parse_verdict(read_said(Reply(dress("judge", word), "stop")) or "") is verdict


@pytest.mark.parametrize("most_room", [None, ROOM])
async def test_a_judge_that_is_cut_is_asked_again_and_judges_the_same(
    tmp_path: Path, calm: Calm, most_room: int | None
) -> None:
    with DressedProvider(cut={"judge": "once"}, most_room=most_room) as cut:
        other = await search(tmp_path, cut)
    assert found(other) == found(calm.rows)
    assert cut.calls()["judge"] == calm.calls["judge"] + cut.cuts
    asked = {call["body"]["max_tokens"] for call in cut.log if call["model"] == "judge-0"}
    assert asked == ({ROOM} if most_room else {ROOM, 2 * ROOM})
    assert cut.refused == (cut.cuts if most_room else 0)


async def test_a_judge_that_is_always_cut_gives_no_verdict(tmp_path: Path) -> None:
    with DressedProvider(cut={"judge": "always"}) as provider:
        rows = await search(tmp_path, provider)
    assert {(vote["verdict"], vote["failure"]) for vote in votes(rows)} == {("unknown", "cut: hit max_tokens")}
    assert all("But whether" in vote["judge_reply"] for vote in votes(rows))
    assert {row["outcome"] for row in rows} == {"failed"}


async def test_interns_that_are_always_cut_are_wrong_and_say_why(tmp_path: Path) -> None:
    with DressedProvider(cut={"intern": "always"}) as provider:
        rows = await search(tmp_path, provider)
    told = {(vote["verdict"], vote["answer"], vote["failure"]) for vote in votes(rows)}
    assert told == {("wrong", "", "cut: hit max_tokens")}
    assert {row["outcome"] for row in rows} == {"dead_end"}
    assert provider.calls()["judge"] == 0
    assert provider.calls()["intern"] == 2 * len(list(votes(rows)))


async def test_mentors_that_are_always_cut_have_no_candidate(tmp_path: Path) -> None:
    with DressedProvider(cut={"mentor": "always"}) as provider:
        rows = await search(tmp_path, provider)
    assert {node["failure"] for row in rows for node in row["nodes"]} == {"cut: hit max_tokens"}
    assert {row["outcome"] for row in rows} == {"failed"}
    assert provider.calls() == {"mentor": 3 * 3 * CASES}
