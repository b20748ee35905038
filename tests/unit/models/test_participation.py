"""Who takes part: calls that were answered and lost, and models that nobody hears."""

import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from mics_ray.core.types import Case, Failure, LeakCheck, LeakVerdict, LostCall
from mics_ray.models.participation import SILENT_AFTER, Attendance, Participation, add_participation, find_silent
from mics_ray.models.types import Refused
from mics_ray.testing import MENTORS
from tests.support.fake_panel import chancy

CASE = Case("c1", "Q?", "gold", ())


async def lose() -> None:
    raise LostCall(Failure("bad_request", "400"))


async def answer() -> str:
    return "fine"


async def test_every_role_of_a_panel_is_counted_under_its_name() -> None:
    attendance = Attendance()
    panel = attendance.watch_panel(chancy(1).panel(), "judge")
    written = await panel.mentors[MENTORS[0]].propose(CASE, (), 1)
    intern = next(iter(panel.interns))
    done = await panel.interns[intern].finish(CASE, written.steps, 0.3, 2)
    await panel.judge.compare(CASE, done.answer, 3)
    assert {name: (part.answered, part.lost) for name, part in attendance.models.items()} == {
        MENTORS[0]: (1, 0), intern: (1, 0), "judge": (1, 0),
    }  # fmt: skip


class LeakJudge:
    async def check_step(self, case: Case, step: str, seed: int) -> LeakCheck:
        if step == "lost":
            raise LostCall(Failure("timeout", "no reply"))
        return LeakCheck(LeakVerdict.CLEAN, "No")


async def test_questions_about_steps_are_counted_as_the_judge_s() -> None:
    attendance = Attendance()
    panel = attendance.watch_panel(replace(chancy(1).panel(), leak_judge=LeakJudge()), "judge")
    assert panel.leak_judge is not None
    assert (await panel.leak_judge.check_step(CASE, "step", 1)).verdict is LeakVerdict.CLEAN
    with pytest.raises(LostCall):
        await panel.leak_judge.check_step(CASE, "lost", 1)
    assert {name: (part.answered, part.lost) for name, part in attendance.models.items()} == {"judge": (1, 1)}


async def lose_calls(attendance: Attendance, count: int) -> None:
    for _ in range(count):
        with pytest.raises(LostCall):
            await attendance.count_call("m", lose)


async def test_a_model_whose_first_calls_are_all_lost_is_asked_no_more() -> None:
    attendance = Attendance()
    await lose_calls(attendance, SILENT_AFTER - 1)
    with pytest.raises(Refused) as refused:
        await attendance.count_call("m", lose)
    assert (refused.value.entry, refused.value.failure.kind) == ("m", "silent")
    assert "first 20 calls were lost, the last one: bad_request: 400" in refused.value.failure.message
    asked: list[int] = []

    async def ask() -> None:
        asked.append(1)

    with pytest.raises(Refused):
        await attendance.count_call("m", ask)
    assert not asked
    assert await attendance.count_call("other", answer) == "fine"


async def test_one_answer_is_enough_to_be_asked_on() -> None:
    attendance = Attendance()
    await lose_calls(attendance, SILENT_AFTER - 1)
    await attendance.count_call("m", answer)
    await lose_calls(attendance, 3 * SILENT_AFTER)
    assert attendance.models["m"] == Participation(
        1, 4 * SILENT_AFTER - 1, Failure("bad_request", "400"), Counter(bad_request=4 * SILENT_AFTER - 1)
    )


@pytest.mark.parametrize("raised", [Refused(Failure("auth", "401"), "x"), KeyboardInterrupt()], ids=["refused", "stop"])
async def test_what_ends_the_run_is_no_call_of_the_model(raised: BaseException) -> None:
    async def stop() -> None:
        raise raised

    attendance = Attendance()
    with pytest.raises(type(raised)):
        await attendance.count_call("m", stop)
    assert attendance.models["m"] == Participation()


def test_workers_that_hear_nothing_are_enough_together() -> None:
    lost = Counter(refused=11, timeout=1)
    half = {"m": Participation(0, 12, Failure("refused", "400"), lost), "n": Participation(1, 90)}
    assert add_participation([half, half])["m"].reasons == {"refused": 22, "timeout": 2}
    assert find_silent(half) is None
    found = find_silent(add_participation([half, half]))
    assert found is not None
    assert (found.entry, "first 24 calls" in found.failure.message) == ("m", True)


@pytest.mark.parametrize("copy", [pickle.dumps], ids=["pickle"])
def test_a_refusal_keeps_its_entry_between_processes(copy: Callable[[object], bytes]) -> None:
    again = pickle.loads(copy(Refused(Failure("auth", "401"), "gpt")))
    assert (again.failure, again.entry) == (Failure("auth", "401"), "gpt")
