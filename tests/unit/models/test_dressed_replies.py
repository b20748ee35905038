"""Searches over real HTTP: whatever clothes replies come in, the result is that of plain ones; a cut reply is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dressed_provider import FORMS, DressedProvider
from tests.support.http_search import CASES, ROOM, search


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


@pytest.mark.parametrize("form", FORMS)
async def test_the_clothes_of_replies_change_nothing(tmp_path: Path, form: str) -> None:
    with DressedProvider() as plain, DressedProvider(form=form) as dressed:
        calm, other = await search(tmp_path / "calm", plain), await search(tmp_path / "other", dressed)
    assert found(other) == found(calm)
    assert {vote["verdict"] for vote in votes(calm)} == {"right", "wrong"}
    assert dressed.calls() == plain.calls(), "nothing is asked again"
    assert all(vote["text"] and vote["judge_reply"] for vote in votes(other))


@pytest.mark.parametrize("most_room", [None, ROOM])
async def test_a_judge_that_is_cut_is_asked_again_and_judges_the_same(tmp_path: Path, most_room: int | None) -> None:
    with DressedProvider() as plain, DressedProvider(cut={"judge": "once"}, most_room=most_room) as cut:
        calm, other = await search(tmp_path / "calm", plain), await search(tmp_path / "other", cut)
    assert found(other) == found(calm)
    assert cut.calls()["judge"] == plain.calls()["judge"] + cut.cuts
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
