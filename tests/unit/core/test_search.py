"""The loop: who is called when and with what, rounds, restarts, and that everything that can run at once does."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.mics import NO_STEP, Mics
from mics_ray.core.ports import Stop, Strategy
from mics_ray.core.search import SearchResult, run_search, search_case
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Case, Continuation, Failure, Finish, LostCall, Outcome, Quality, Verdict
from mics_ray.testing import CASE, MENTORS, Call, ScriptedPanel, lose_call, script_panel, votes_by_table, write_steps
from tests.support.virtual_loop import VirtualLoop

DEEP = {"a1": "rwwwww", "a1 b2": "rrwwww", "a1 b2 c3": "rrrwww", "a1 b2 c3 a4": "rrrrww"}
"""Every round a little better, and every round another mentor's."""


async def search(fake: ScriptedPanel, strategy: Strategy | None = None, restarts: int = 0) -> SearchResult:
    return await search_case(CASE, strategy or Mics(MENTORS), fake.panel(), 7, restarts)


def per_round(fake: ScriptedPanel) -> list[tuple[int, int, int]]:
    """Calls of each round, mentor / intern / judge; a round begins with a mentor's call on a longer prefix."""
    rounds: list[list[int]] = []
    prefix: tuple[str, ...] = ()
    for call in fake.calls:
        if call.role == "mentor" and (not rounds or call.prefix != prefix):
            rounds.append([0, 0, 0])
            prefix = call.prefix
        rounds[-1][("mentor", "intern", "judge").index(call.role)] += 1
    return [(mentors, interns, judges) for mentors, interns, judges in rounds]


async def test_calls_per_round_are_the_methods() -> None:
    fake = script_panel(DEEP)
    result = await search(fake)
    assert (result.outcome, result.tree.rounds) == (Outcome.DEPTH, 4)
    assert per_round(fake) == [(3, 18, 18), (2, 18, 18), (2, 18, 18), (2, 18, 18)]


async def test_the_chosen_mentor_is_not_called_again_and_the_others_are() -> None:
    fake = script_panel(DEEP)
    result = await search(fake)
    asked = [(len(call.prefix), call.name) for call in fake.calls if call.role == "mentor"]
    assert sorted(asked) == sorted(
        [(0, m) for m in "abc"] + [(1, m) for m in "bc"] + [(2, m) for m in "ac"] + [(3, m) for m in "ab"]
    )
    assert all(call.prefix == ("a1", "b2", "c3")[: len(call.prefix)] for call in fake.calls if call.role == "mentor")
    assert result.chain == Continuation(("a1", "b2", "c3", "a4", "a5", "a6"), "answer of a")


async def test_the_next_candidate_is_cut_from_what_the_chosen_mentor_wrote() -> None:
    """Its second continuation would be another one; the first is gone on with."""

    def moody(prefix: tuple[str, ...], seed: int) -> Continuation:
        return Continuation(("a1", "a-second", "a-third"), "first") if not prefix else Continuation(("no",), "second")

    fake = script_panel({"a1": "rwwwww", "a1 a-second": "rrrrrr"}, a=moody)
    result = await search(fake)
    assert result.chain == Continuation(("a1", "a-second", "a-third"), "first")
    assert result.outcome is Outcome.SOLVED


async def test_a_chosen_mentor_without_a_step_left_has_no_candidate() -> None:
    fake = script_panel({"a1": "rwwwww", "a1 b2": "rrwwww"}, a=write_steps("a", 1))
    result = await search(fake, Mics(MENTORS, max_rounds=2))
    second = {node.mentor: node for node in result.tree.round_nodes(2)}
    assert second["a"].failure is not None
    assert second["a"].failure.kind == NO_STEP
    assert (second["a"].steps, second["a"].votes, second["a"].score) == ((), (), None)
    assert per_round(fake)[1] == (2, 12, 12)


async def test_a_chain_that_nobody_lengthens_is_kept() -> None:
    fake = ScriptedPanel({name: write_steps(name, 1) for name in MENTORS}, votes_by_table({"b1": "rrwwww"}))
    result = await search(fake)
    assert (result.outcome, result.chain) == (Outcome.DEPTH, Continuation(("b1",), "answer of b"))


async def test_the_winners_whole_chain_is_kept() -> None:
    result = await search(script_panel({"c1": "rrrrrr"}))
    assert (result.outcome, result.quality) == (Outcome.SOLVED, Quality.KEEP)
    assert result.chain == Continuation(tuple(f"c{k}" for k in range(1, 7)), "answer of c")
    assert [node.mentor for node in result.tree.path_to(result.leaf)] == ["c"]


async def test_first_candidates_of_two_steps() -> None:
    fake = script_panel({"b1 b2": "rwwwww", "b1 b2 a3": "rrwwww", "b1 b2 a3 c4": "rrrwww"})
    result = await search(fake, Mics(MENTORS, max_rounds=3, first_steps=2, competitiveness="sum"))
    assert [node.steps for node in result.tree.path_to(result.leaf)] == [("b1", "b2"), ("a3",), ("c4",)]
    assert {len(call.prefix) for call in fake.calls if call.role == "mentor"} == {0, 2, 3}
    assert result.tree.rounds == 3


async def test_interns_never_see_a_final_answer_of_a_mentor() -> None:
    """The reference handed the final-answer block to interns as a step: a score of 1 for nothing."""
    for strategy in (Mics(MENTORS), BestOfN(MENTORS)):
        table = {"a1": "rwwwww", "a1 a2": "rrwwww"}
        fake = ScriptedPanel({name: write_steps(name, 2) for name in MENTORS}, votes_by_table(table))
        await search(fake, strategy)
        shown = {step for call in fake.calls if call.role == "intern" for step in call.prefix}
        assert shown
        assert not any("answer" in step for step in shown)


async def test_best_of_n_keeps_the_chain_whose_steps_lead_there_most_often() -> None:
    fake = ScriptedPanel(
        {name: write_steps(name, 3) for name in MENTORS}, votes_by_table({"a1 a2 a3": "rrwwww", "b1 b2 b3": "rrrrww"})
    )
    result = await search(fake, BestOfN(MENTORS))
    assert result.chain == Continuation(("b1", "b2", "b3"), "answer of b")
    assert per_round(fake) == [(3, 18, 18)]


async def test_a_dead_end_is_searched_again_from_the_root_with_fresh_draws() -> None:
    fake = script_panel({})
    result = await search(fake, restarts=2)
    assert (result.outcome, len(result.attempts), result.chain) == (Outcome.DEAD_END, 3, None)
    assert len({tree.seed for tree in result.attempts}) == 3
    mentors = [call for call in fake.calls if call.role == "mentor"]
    assert all(call.prefix == () for call in mentors)
    for role in ("mentor", "intern"):
        seeds = [call.seed for call in fake.calls if call.role == role]
        assert len(set(seeds)) == len(seeds)


async def test_a_restart_that_gets_further_decides() -> None:
    tries = iter(range(100))

    def second_thought(prefix: tuple[str, ...], seed: int) -> Continuation:
        return Continuation(("good",) if next(tries) else ("bad",), "end")

    result = await search(script_panel({"good": "rrrrrr"}, b=second_thought), restarts=3)
    assert (result.outcome, len(result.attempts)) == (Outcome.SOLVED, 2)
    assert result.chain == Continuation(("good",), "end")
    assert [tree.rounds for tree in result.attempts] == [1, 1]


async def test_without_restarts_a_dead_end_is_final() -> None:
    fake = script_panel({"a1": "rwwwww"})
    result = await search(fake, restarts=0)
    assert (result.outcome, len(result.attempts), result.tree.rounds) == (Outcome.DEAD_END, 1, 2)
    assert result.quality is Quality.FLAT


async def test_lost_mentor_calls_fail_a_case_and_never_read_as_a_course_to_keep() -> None:
    table = {"a1": "rwwwww", "a1 b2": "rrwwww"}

    def lost_later(prefix: tuple[str, ...], seed: int) -> Continuation:
        return lose_call(prefix, seed) if len(prefix) == 2 else write_steps("a")(prefix, seed)

    def short(prefix: tuple[str, ...], seed: int) -> Continuation:
        return Continuation(("b2",), "end") if len(prefix) == 1 else lose_call(prefix, seed)

    result = await search(script_panel(table, a=lost_later, b=short, c=lose_call), restarts=1)
    assert (result.outcome, result.chain, len(result.attempts)) == (Outcome.FAILED, None, 2)
    assert result.tree.best_scores() == [1 / 6, 2 / 6]
    assert result.quality is Quality.ZERO


async def test_a_lost_intern_or_judge_call_is_an_unknown_vote_with_its_reason() -> None:
    result = await search(script_panel({"a1": "r?!www"}), Mics(MENTORS, max_rounds=1))
    [node] = [node for node in result.tree.nodes if node.mentor == "a"]
    assert [vote.verdict.value for vote in node.votes] == ["right", "unknown", "unknown", "wrong", "wrong", "wrong"]
    assert node.score == 1 / 4
    by_intern, by_judge = node.votes[1], node.votes[2]
    assert by_intern.failure is not None
    assert (by_intern.failure.kind, by_intern.text) == ("timeout", "")
    assert by_judge.failure is not None
    assert (by_judge.failure.kind, by_judge.judge_reply, by_judge.answer) == ("no_verdict", "Hm.", "unclear")


async def test_a_text_without_an_answer_is_a_wrong_vote_with_its_reason() -> None:
    """It counts as known; the judge has nothing to compare."""
    failure = Failure("no_answer", "no final answer in 2 texts")

    class Speechless:
        async def finish(self, case: Case, prefix: tuple[str, ...], temperature: float, seed: int) -> Finish:
            return Finish("Hm.", "", failure)

    fake = script_panel({"a1": "rrrrrr", "b1": "rrrrrr", "c1": "rrrrrr"})
    panel = fake.panel()
    panel = replace(panel, interns={**panel.interns, "x": Speechless()})
    result = await search_case(CASE, Mics(MENTORS, max_rounds=1), panel, 7, 0)
    for node in result.tree.nodes:
        first = node.votes[0]
        assert (first.verdict, first.text, first.answer, first.failure) == (Verdict.WRONG, "Hm.", "", failure)
        assert node.score == 4 / 6
    assert fake.count("judge") == 12
    assert result.outcome is Outcome.DEPTH


async def test_an_answer_that_is_the_gold_answer_is_right_without_a_judge_where_the_panel_matches() -> None:
    """Any of several gold answers, in any spelling; everything else is judged, by the same seeds."""
    case = replace(CASE, answer="A tumour", others=("Gold",))
    fake = script_panel({"a1": "rrwwww"})
    matching = replace(fake.panel(), match_gold=True)
    tree = (await search_case(case, Mics(MENTORS, max_rounds=1), matching, 7, 0)).tree
    matched = [vote for node in tree.nodes for vote in node.votes if vote.matched]
    assert [(vote.verdict, vote.answer, vote.judge_reply) for vote in matched] == [(Verdict.RIGHT, "gold", "")] * 2
    assert fake.count("judge") == 16
    every = script_panel({"a1": "rrwwww"})
    await search_case(case, Mics(MENTORS, max_rounds=1), every.panel(), 7, 0)
    assert every.count("judge") == 18
    seeds = [{call.seed for call in one.calls if call.role == "judge"} for one in (fake, every)]
    assert seeds[0] < seeds[1]


async def test_no_judge_call_for_a_lost_answer() -> None:
    fake = script_panel({"a1": "??????", "b1": "???rrr"})
    await search(fake, Mics(MENTORS, max_rounds=1))
    assert fake.count("judge") == 9


async def test_votes_cover_every_intern_at_every_temperature_once() -> None:
    fake = script_panel({"a1": "rrrrrr"})
    result = await search(fake)
    for node in result.tree.nodes:
        assert [(vote.intern, vote.temperature) for vote in node.votes] == [(i, t) for i in "xyz" for t in (0.3, 1.2)]
    draws = Counter(call.seed for call in fake.calls if call.role in ("intern", "judge"))
    assert set(draws.values()) == {1}


async def test_an_error_that_is_no_lost_call_ends_the_search() -> None:
    def broken(prefix: tuple[str, ...], seed: int) -> Continuation:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        await search(script_panel({}, b=broken))
    assert caught.group_contains(ZeroDivisionError)


async def test_votes_start_before_slower_mentors_have_answered_and_judging_before_slower_interns() -> None:
    """Every wait is for an event, none for a clock: were a step not to start by itself, the test would hang."""
    slow_mentor, slow_intern, judged, voted = (asyncio.Event() for _ in range(4))

    async def hold(call: Call) -> None:
        if call.role == "mentor" and call.name == "c":
            await slow_mentor.wait()
        if call.role == "intern" and call.prefix == ("a1",):
            voted.set()
            if call.name == "z":
                await slow_intern.wait()
        if call.role == "judge" and voted.is_set():
            judged.set()

    fake = script_panel({"a1": "rrrrrr"})
    fake.hold = hold
    running = asyncio.create_task(search(fake))
    await asyncio.wait_for(voted.wait(), 5)  # c has not answered yet
    await asyncio.wait_for(judged.wait(), 5)  # z has not answered yet
    assert fake.count("mentor") == 3
    assert not any(call.prefix == ("c1",) for call in fake.calls)
    slow_intern.set()
    slow_mentor.set()
    assert (await running).outcome is Outcome.SOLVED


def test_a_round_takes_one_mentor_one_intern_and_one_judge_call_of_time() -> None:
    """Virtual clock: mentor 4 s, intern 1 s, judge 1 s; four rounds of everything at once are 24 s."""
    loop = VirtualLoop()

    async def hold(call: Call) -> None:
        await asyncio.sleep({"mentor": 4, "intern": 1, "judge": 1}[call.role])

    fake = script_panel(DEEP)
    fake.hold = hold
    try:
        loop.run_until_complete(search(fake))
    finally:
        loop.close()
    assert loop.now == pytest.approx(4 * 6, abs=0.01)


def test_a_slow_mentor_delays_only_its_own_candidate() -> None:
    loop = VirtualLoop()
    ends: list[tuple[float, str]] = []

    async def hold(call: Call) -> None:
        await asyncio.sleep({"mentor": {"a": 1, "b": 5, "c": 9}.get(call.name, 0), "intern": 1, "judge": 1}[call.role])
        if call.role == "intern":
            ends.append((round(loop.now, 6), call.prefix[-1]))

    fake = script_panel({})
    fake.hold = hold
    try:
        loop.run_until_complete(search(fake))
    finally:
        loop.close()
    assert Counter(ends) == {(2, "a1"): 6, (6, "b1"): 6, (10, "c1"): 6}


async def test_a_tree_cut_between_rounds_goes_on_where_it_was() -> None:
    whole, stop = await run_search(CASE, Mics(MENTORS), script_panel(DEEP).panel(), SearchTree(CASE.id, 3))
    assert isinstance(stop, Stop)
    for rounds in range(whole.rounds + 1):
        cut = SearchTree(CASE.id, 3, tuple(node for node in whole.nodes if node.round <= rounds))
        fake = script_panel(DEEP)
        assert await run_search(CASE, Mics(MENTORS), fake.panel(), cut) == (whole, stop)
        assert len(per_round(fake)) == whole.rounds - rounds


async def test_the_judge_is_asked_about_the_answer_and_not_the_text() -> None:
    fake = script_panel({"a1": "rrrrrr"})
    result = await search(fake)
    assert {call.answer for call in fake.calls if call.role == "judge"} == {"gold", "other"}
    assert {vote.verdict for node in result.tree.nodes for vote in node.votes} == {Verdict.RIGHT, Verdict.WRONG}


async def test_the_text_of_a_lost_vote_is_kept_as_evidence() -> None:
    def cut_off(prefix: tuple[str, ...], intern: str, temperature: float, seed: int) -> str:
        raise LostCall(Failure("cut", "ended at the token limit"), f"half a text of {intern}")

    fake = ScriptedPanel({"a": write_steps("a")}, cut_off)
    (node,) = (await search(fake, Mics(("a",), max_rounds=1))).tree.nodes
    assert {vote.text for vote in node.votes} == {"half a text of x", "half a text of y", "half a text of z"}
    assert {(vote.verdict, vote.answer, str(vote.failure)) for vote in node.votes} == {
        (Verdict.UNKNOWN, "", "cut: ended at the token limit")
    }


async def test_what_a_mentor_without_a_step_answered_is_kept() -> None:
    fake = ScriptedPanel({"a": lambda prefix, seed: Continuation((), "its answer")}, votes_by_table({}))
    (node,) = (await search(fake, Mics(("a",)))).tree.nodes
    assert (node.steps, node.rest, node.votes) == ((), Continuation((), "its answer"), ())
    assert str(node.failure) == "no_step: nothing left before the final answer"
    assert fake.count("intern") == 0


async def test_a_judged_vote_keeps_the_interns_whole_text() -> None:
    result = await search(script_panel({}))
    votes = [vote for node in result.tree.nodes for vote in node.votes]
    assert votes
    assert all(vote.text == f"text of {vote.intern} {vote.temperature}: {vote.answer}" for vote in votes)
