"""The router over replicas in this process: affinity, batches, death, silence, poison."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest

from mics_ray.models.types import Failure, LostCall, Pictures, Reply, Request
from mics_ray.runtime.serving.case_homes import UNEVEN, CaseHomes, ReplicaLoad
from mics_ray.runtime.serving.replica_state import ENGINE_FAILURES, REPLICA_DEATHS, ReplicaAnswer, ReplicaDown
from mics_ray.runtime.serving.router import Router
from tests.support.virtual_loop import VirtualLoop

CASES = [f"case-{number}" for number in range(300)]


def request(text: str = "q", temperature: float = 0.3) -> Request:
    return Request("tiny", "m", "", "", text, "", temperature, 16, 1)


async def answer(requests: Sequence[Request]) -> list[ReplicaAnswer]:
    return [Reply(f"{one.text}@{one.temperature}") for one in requests]


def case_of(home: int, count: int = 2) -> str:
    """A case whose replica is ``home`` of ``count`` idle ones that were given nothing yet."""
    idle = [ReplicaLoad(number, 0) for number in range(count)]
    return next(case for case in CASES if CaseHomes().choose_replica(case, idle) == home)


class LocalReplica:
    """A replica in this process; ``behave`` answers a call, or raises."""

    def __init__(self, behave: Callable[[Sequence[Request]], Awaitable[list[ReplicaAnswer]]] = answer) -> None:
        self.behave = behave
        self.calls: list[list[Request]] = []
        self.back = asyncio.Event()
        self.back.set()
        self.probes = self.replaced = 0
        self.hangs = False

    async def ready(self) -> None:
        await self.back.wait()

    async def generate(self, requests: Sequence[Request], pictures: Pictures | None) -> list[ReplicaAnswer]:
        self.calls.append(list(requests))
        return await self.behave(requests)

    async def probe(self) -> None:
        self.probes += 1
        if self.hangs:
            await asyncio.Event().wait()

    async def replace(self) -> None:
        self.replaced += 1


def failing(
    times: int, how: ReplicaAnswer | ReplicaDown
) -> Callable[[Sequence[Request]], Awaitable[list[ReplicaAnswer]]]:
    """Fail the first ``times`` calls, then answer."""
    left = times

    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        nonlocal left
        if left:
            left -= 1
            if isinstance(how, ReplicaDown):
                raise how
            return [how for _ in requests]
        return await answer(requests)

    return behave


def dead_engine() -> LostCall:
    return LostCall(Failure("engine_dead", "the engine died"))


async def test_what_is_asked_of_one_prompt_in_one_turn_is_one_call() -> None:
    replica = LocalReplica()
    model = Router("tiny", [replica]).bind_case("case")
    asked = [request("a", 0.3), request("a", 1.2), request("b", 0.3), request("b", 1.2)]
    replies = await asyncio.gather(*(model.complete(one, None) for one in asked))
    assert [reply.text for reply in replies] == ["a@0.3", "a@1.2", "b@0.3", "b@1.2"]
    assert [[one.text for one in call] for call in replica.calls] == [["a", "a"], ["b", "b"]]


async def test_cases_are_never_in_one_call() -> None:
    replica = LocalReplica()
    router = Router("tiny", [replica])
    await asyncio.gather(router.route_request("x", request(), None), router.route_request("y", request(), None))
    assert len(replica.calls) == 2


async def test_a_lost_call_reaches_only_its_own_caller() -> None:
    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        return [LostCall(Failure("too_long", "…")), *(await answer(requests[1:]))]

    model = Router("tiny", [LocalReplica(behave)]).bind_case("case")
    lost, reply = await asyncio.gather(
        *(model.complete(request("a", t), None) for t in (0.3, 1.2)), return_exceptions=True
    )
    assert isinstance(lost, LostCall)
    assert lost.failure.kind == "too_long"
    assert reply == Reply("a@1.2")


async def test_calls_of_a_dead_replica_go_to_another() -> None:
    dead = [LocalReplica(failing(99, ReplicaDown())) for _ in range(2)]
    for replica in dead:
        replica.back.clear()
    alive = LocalReplica()
    router = Router("tiny", [*dead, alive])
    replies = await asyncio.gather(*(router.route_request(case, request(case), None) for case in CASES))
    assert [reply.text for reply in replies] == [f"{case}@0.3" for case in CASES]
    assert dead[0].calls
    assert dead[1].calls
    before = len(dead[0].calls)
    await asyncio.gather(*(router.route_request(case, request(case), None) for case in CASES))
    assert len(dead[0].calls) == before, "a replica that is down is asked nothing"


async def test_calls_wait_for_the_restart_of_the_only_replica() -> None:
    replica = LocalReplica(failing(1, ReplicaDown()))
    replica.back.clear()
    asking = asyncio.ensure_future(Router("tiny", [replica]).route_request("case", request(), None))
    done, _ = await asyncio.wait({asking}, timeout=0.05)
    assert not done
    replica.back.set()
    assert await asking == Reply("q@0.3")


async def test_a_replica_that_answers_ready_with_down_is_asked_again() -> None:
    class Slow(LocalReplica):
        looks = 0

        async def ready(self) -> None:
            self.looks += 1
            if self.looks < 4:
                raise ReplicaDown

    replica = Slow(failing(1, ReplicaDown()))
    assert await Router("tiny", [replica], poll_s=0.001).route_request("case", request(), None) == Reply("q@0.3")
    assert replica.looks == 4


async def test_patience_ends() -> None:
    replica = LocalReplica(failing(1, ReplicaDown()))
    replica.back.clear()
    with pytest.raises(LostCall) as lost:
        await Router("tiny", [replica], patience_s=0.02).route_request("case", request(), None)
    assert lost.value.failure.kind == "replica_down"


def test_a_process_that_was_stopped_loses_no_patience() -> None:
    replica = LocalReplica(failing(1, ReplicaDown()))

    async def work() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        replica.back.clear()
        loop.call_later(100, lambda: setattr(loop, "now", loop.now + 3600))
        loop.call_later(101, replica.back.set)
        assert await Router("tiny", [replica]).route_request("case", request(), None) == Reply("q@0.3")
        assert loop.now > 3600

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())


async def test_one_engine_failure_is_forgiven_and_the_second_is_poison() -> None:
    assert ENGINE_FAILURES == 2
    once = LocalReplica(failing(1, dead_engine()))
    assert await Router("tiny", [once]).route_request("case", request(), None) == Reply("q@0.3")
    always = LocalReplica(failing(99, dead_engine()))
    with pytest.raises(LostCall) as lost:
        await Router("tiny", [always]).route_request("case", request(), None)
    assert lost.value.failure.kind == "poison"
    assert len(always.calls) == 2


class Sick(LocalReplica):
    """As ModelReplica with a fault: it fails everything, leaves after its third failure and comes back well."""

    def __init__(self) -> None:
        super().__init__(self.serve)
        self.failures, self.state = 0, "sick"

    async def serve(self, requests: Sequence[Request]) -> list[ReplicaAnswer]:
        await asyncio.sleep(0.01)
        if self.state == "gone":
            raise ReplicaDown
        if self.state == "well":
            return await answer(requests)
        return [self.failure() for _ in requests]

    def failure(self) -> LostCall:
        self.failures += 1
        if self.failures < 3:
            return LostCall(Failure("engine", "CUDA error"))
        if self.failures == 3:
            self.back.clear()
            asyncio.get_running_loop().call_later(0.1, setattr, self, "state", "gone")
            asyncio.get_running_loop().call_later(0.3, self.recover)
        return LostCall(Failure("leaving", "the replica is being replaced"))

    def recover(self) -> None:
        self.state = "well"
        self.back.set()


@pytest.mark.parametrize("others", [0, 1])
async def test_a_replica_that_fails_everything_costs_no_call(others: int) -> None:
    sick = Sick()
    router = Router("tiny", [sick, *(LocalReplica() for _ in range(others))], poll_s=0.001)
    ends = await asyncio.gather(
        *(router.route_request(case, request(case), None) for case in CASES), return_exceptions=True
    )
    assert sick.failures >= 3
    assert [end for end in ends if not isinstance(end, Reply)] == []


async def test_a_call_that_failed_goes_to_another_replica() -> None:
    replicas = [LocalReplica(failing(2, LostCall(Failure("engine", "CUDA error")))) for _ in range(2)]
    replicas[1].behave = answer
    router = Router("tiny", replicas)
    for case in CASES[:20]:
        assert isinstance(await router.route_request(case, request(case), None), Reply)


async def test_the_neighbours_of_a_poison_request_get_their_replies() -> None:
    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        poison = LostCall(Failure("engine", "…"))
        return [poison if one.temperature == 1.2 else Reply("fine") for one in requests]

    model = Router("tiny", [LocalReplica(behave)]).bind_case("case")
    fine, lost = await asyncio.gather(
        *(model.complete(request("a", t), None) for t in (0.3, 1.2)), return_exceptions=True
    )
    assert fine == Reply("fine")
    assert isinstance(lost, LostCall)
    assert lost.failure.kind == "poison"


async def test_deaths_from_outside_are_survived_more_often() -> None:
    some = LocalReplica(failing(REPLICA_DEATHS - 1, ReplicaDown()))
    assert await Router("tiny", [some]).route_request("case", request(), None) == Reply("q@0.3")
    always = LocalReplica(failing(99, ReplicaDown()))
    with pytest.raises(LostCall) as lost:
        await Router("tiny", [always]).route_request("case", request(), None)
    assert lost.value.failure.kind == "poison"
    assert len(always.calls) == REPLICA_DEATHS


class Crowded(LocalReplica):
    """Serves what is in flight together; of ``poison`` it dies with all of it, as an engine or as a process."""

    def __init__(self, how: str) -> None:
        super().__init__(self.serve)
        self.how, self.dying = how, asyncio.Event()
        self.deaths = 0

    async def serve(self, requests: Sequence[Request]) -> list[ReplicaAnswer]:
        dying = self.dying
        if any(one.text == "poison" for one in requests):
            await asyncio.sleep(0.002)
            self.dying, self.deaths = asyncio.Event(), self.deaths + 1
            dying.set()
        try:
            async with asyncio.timeout(0.005):
                await dying.wait()
        except TimeoutError:
            return await answer(requests)
        if self.how == "engine":
            return [dead_engine() for _ in requests]
        raise ReplicaDown


@pytest.mark.parametrize(("how", "deaths"), [("engine", ENGINE_FAILURES), ("process", REPLICA_DEATHS)])
@pytest.mark.parametrize("count", [1, 2])
async def test_who_is_in_flight_beside_a_poison_request_gets_a_reply(how: str, deaths: int, count: int) -> None:
    replicas = [Crowded(how) for _ in range(count)]
    router = Router("tiny", replicas, poll_s=0.001)
    asked = [router.route_request(case, request("poison" if case == CASES[7] else case), None) for case in CASES[:20]]
    answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)
    lost = [one for one in answers if isinstance(one, LostCall)]
    assert [one.failure.kind for one in lost] == ["poison"]
    assert isinstance(answers[7], LostCall)
    assert sum(isinstance(one, Reply) for one in answers) == 19
    assert sum(replica.deaths for replica in replicas) == deaths
    assert await router.route_request("later", request("later"), None) == Reply("later@0.3")


async def test_a_silent_replica_that_answers_its_probe_is_left_alone() -> None:
    async def slow(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        await asyncio.sleep(0.1)
        return await answer(requests)

    replica = LocalReplica(slow)
    assert await Router("tiny", [replica], stall_s=0.01).route_request("case", request(), None) == Reply("q@0.3")
    assert replica.probes > 0
    assert replica.replaced == 0


async def test_a_hung_replica_is_replaced_and_its_calls_are_made_again() -> None:
    class Hung(LocalReplica):
        killed = asyncio.Event()

        async def replace(self) -> None:
            self.replaced += 1
            self.hangs = False
            self.killed.set()

    replica = Hung()

    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        if not replica.replaced:
            await replica.killed.wait()
            raise ReplicaDown
        return await answer(requests)

    replica.behave, replica.hangs = behave, True
    router = Router("tiny", [replica], stall_s=0.01, probe_s=0.01)
    replies = await asyncio.gather(*(router.route_request(case, request(case), None) for case in CASES[:20]))
    assert [reply.text for reply in replies] == [f"{case}@0.3" for case in CASES[:20]]
    assert replica.replaced == 1


async def test_a_caller_that_has_gone_harms_nobody() -> None:
    gate = asyncio.Event()

    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        await gate.wait()
        return await answer(requests)

    model = Router("tiny", [LocalReplica(behave)]).bind_case("case")
    gone, stays = (asyncio.ensure_future(model.complete(request("a", t), None)) for t in (0.3, 1.2))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    assert await stays == Reply("a@1.2")


async def test_an_unforeseen_error_is_not_swallowed() -> None:
    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Router("tiny", [LocalReplica(behave)]).route_request("case", request(), None)


async def test_a_further_replica_takes_its_share_and_the_known_ones_keep_their_cases() -> None:
    first, second = LocalReplica(), LocalReplica()
    router = Router("tiny", [first])
    known, fresh = CASES[:8], CASES[8:]
    await asyncio.gather(*(router.route_request(case, request(case), None) for case in known))
    await router.update_replicas([first, second])
    await asyncio.gather(*(router.route_request(case, request(case), None) for case in fresh))
    await asyncio.gather(*(router.route_request(case, request(case), None) for case in known))
    assert {call[0].text for call in second.calls} < set(fresh)
    assert len(second.calls) == pytest.approx(len(fresh) / 2, abs=UNEVEN)


async def test_fresh_cases_go_where_fewer_requests_went() -> None:
    replicas = [LocalReplica(), LocalReplica()]
    router = Router("tiny", replicas)
    await asyncio.gather(*(router.route_request("many", request("q", t), None) for t in range(8)))
    home = next(number for number, replica in enumerate(replicas) if replica.calls)
    await asyncio.gather(*(router.route_request(case, request(case), None) for case in CASES[:8]))
    assert [len(replicas[number].calls) for number in (home, 1 - home)] == [1, 8]


async def test_a_retired_replica_answers_what_it_was_asked_and_is_asked_nothing_more() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def slow(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        asked.set()
        await release.wait()
        return await answer(requests)

    stays, goes = LocalReplica(), LocalReplica(slow)
    router = Router("tiny", [stays, goes])
    case = case_of(1)
    under_way = asyncio.ensure_future(router.route_request(case, request("early"), None))
    await asked.wait()
    drained = asyncio.ensure_future(router.update_replicas([stays]))
    assert await router.route_request(case, request("late"), None) == Reply("late@0.3")
    assert not drained.done(), "the early call is still on its way"
    assert router.queued == 1
    release.set()
    await drained
    assert await under_way == Reply("early@0.3")
    assert len(goes.calls) == 1, "asked once only"
    assert router.queued == 0


async def test_a_retired_replica_that_dies_hands_its_calls_to_the_others() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def dying(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        asked.set()
        await release.wait()
        raise ReplicaDown

    stays, goes = LocalReplica(), LocalReplica(dying)
    router = Router("tiny", [stays, goes], poll_s=0.001)
    case = case_of(1)
    under_way = asyncio.ensure_future(router.route_request(case, request(), None))
    await asked.wait()
    drained = asyncio.ensure_future(router.update_replicas([stays]))
    await asyncio.sleep(0)
    release.set()
    await drained
    assert await under_way == Reply("q@0.3")
    assert len(stays.calls) == 1


class Counted(LocalReplica):
    """Counts how often its restart was waited for: once each time that it was taken for down."""

    def __init__(self, behave: Callable[[Sequence[Request]], Awaitable[list[ReplicaAnswer]]] = answer) -> None:
        super().__init__(behave)
        self.waits = 0

    async def ready(self) -> None:
        self.waits += 1
        await self.back.wait()


class Held(Counted):
    """Its calls wait for ``release``; then they are answered, or die with the process where it ``dies``."""

    def __init__(self, dies: bool = False) -> None:
        super().__init__(self.serve)
        self.dies, self.asked, self.release = dies, asyncio.Event(), asyncio.Event()

    async def serve(self, requests: Sequence[Request]) -> list[ReplicaAnswer]:
        self.asked.set()
        await self.release.wait()
        if self.dies:
            self.back.clear()
            raise ReplicaDown
        return await answer(requests)


@pytest.mark.parametrize(
    ("kind", "waits"), [("too_long", 0), ("length", 0), ("engine", 0), ("engine_dead", 1), ("leaving", 1)]
)
async def test_only_the_end_of_its_engine_takes_a_replica_out(kind: str, waits: int) -> None:
    replica = Counted(failing(1, LostCall(Failure(kind, "…"))))
    await asyncio.gather(Router("tiny", [replica]).route_request("case", request(), None), return_exceptions=True)
    assert replica.waits == waits


async def test_late_news_of_an_earlier_process_does_not_take_its_successor_out() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        if requests[0].text in gates:
            await gates.pop(requests[0].text).wait()
            raise ReplicaDown
        return await answer(requests)

    gates = {"first": first, "second": second}
    replica = Counted(behave)
    router = Router("tiny", [replica])
    asked = [asyncio.ensure_future(router.route_request(text, request(text), None)) for text in ("first", "second")]
    await turns()
    assert not gates, "both are in flight"
    first.set()
    assert await asked[0] == Reply("first@0.3")
    second.set()
    assert await asked[1] == Reply("second@0.3")
    assert replica.waits == 1


async def turns() -> None:
    """Let the event loop do everything that waits for nothing from outside."""
    for _ in range(50):
        await asyncio.sleep(0)


async def suspect_waiting_for(
    held: Held,
) -> tuple[Router, LocalReplica, "asyncio.Future[Reply]", "asyncio.Future[Reply]"]:
    """A suspect, whose engine died at the first replica, waits until ``held``, the second, has nothing in flight."""
    home = LocalReplica(failing(1, dead_engine()))
    router = Router("tiny", [home, held], poll_s=0.001)
    beside = asyncio.ensure_future(router.route_request(case_of(1), request("beside"), None))
    await held.asked.wait()
    suspect = asyncio.ensure_future(router.route_request(case_of(0), request("suspect"), None))
    await turns()
    assert len(home.calls) == 1
    assert not suspect.done(), "it is asked alone"
    return router, home, suspect, beside


async def test_a_suspect_whose_replica_dies_before_it_is_empty_is_asked_elsewhere() -> None:
    held = Held(dies=True)
    router, home, suspect, beside = await suspect_waiting_for(held)
    held.release.set()
    assert await suspect == Reply("suspect@0.3")
    assert await beside == Reply("beside@0.3")
    assert [call[0].text for call in held.calls] == ["beside"]
    assert Counter(call[0].text for call in home.calls) == {"suspect": 2, "beside": 1}
    held.dies = False
    held.back.set()
    async with asyncio.timeout(10):
        while held.calls[-1][0].text != "after":  # its return is another task's
            assert await router.route_request(case_of(1), request("after"), None) == Reply("after@0.3")
            await asyncio.sleep(0.01)


async def test_a_suspect_whose_replica_is_retired_before_it_is_empty_is_asked_elsewhere() -> None:
    held = Held()
    router, home, suspect, beside = await suspect_waiting_for(held)
    drained = asyncio.ensure_future(router.update_replicas([home]))
    await asyncio.sleep(0)
    held.release.set()
    assert await suspect == Reply("suspect@0.3")
    await drained
    assert await beside == Reply("beside@0.3")
    assert [call[0].text for call in held.calls] == ["beside"]


async def test_nothing_else_is_asked_of_a_replica_while_a_suspect_is_alone_there() -> None:
    held = Held()
    router, _, suspect, beside = await suspect_waiting_for(held)
    late = asyncio.ensure_future(router.route_request(case_of(1), request("late"), None))
    assert await late == Reply("late@0.3"), "the other replica takes it"
    held.release.set()
    assert (await suspect, await beside) == (Reply("suspect@0.3"), Reply("beside@0.3"))
    assert [call[0].text for call in held.calls] == ["beside", "suspect"]
    held.release.set()
    await asyncio.gather(*(router.route_request(f"fresh {number}", request("after"), None) for number in range(4)))
    assert held.calls[-1][0].text == "after", "the replica takes calls again"


async def test_replicas_that_stay_keep_their_calls_when_the_list_changes() -> None:
    held = Held()
    router = Router("tiny", [held])
    early = asyncio.ensure_future(router.route_request("case", request("early"), None))
    await held.asked.wait()
    await asyncio.wait_for(router.update_replicas([held, LocalReplica()]), 10)
    held.release.set()
    assert await early == Reply("early@0.3")
    assert len(held.calls) == 1


async def test_the_restart_of_a_retired_replica_is_not_waited_for() -> None:
    held, stays = Held(dies=True), LocalReplica()
    router = Router("tiny", [stays, held], poll_s=0.001)
    asked = asyncio.ensure_future(router.route_request(case_of(1), request(), None))
    await held.asked.wait()
    drained = asyncio.ensure_future(router.update_replicas([stays]))
    await asyncio.sleep(0)
    held.release.set()
    assert await asked == Reply("q@0.3")
    await drained
    assert held.waits == 0


async def test_nothing_is_kept_of_calls_that_are_over() -> None:
    router = Router("tiny", [LocalReplica(failing(1, dead_engine()))])
    await asyncio.gather(*(router.route_request(case, request(case), None) for case in CASES))
    await asyncio.sleep(0)
    assert not router._tasks
    assert not router._gathering
    assert [state.in_flight for state in router._replicas] == [0]


async def test_a_replica_that_answers_is_not_probed_however_long_one_call_takes() -> None:
    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        if requests[0].text == "long":
            await over.wait()
        return await answer(requests)

    over = asyncio.Event()
    replica = LocalReplica(behave)
    router = Router("tiny", [replica], stall_s=0.2)
    long = asyncio.ensure_future(router.route_request("long", request("long"), None))
    for number in range(30):
        await router.route_request(f"short-{number}", request(f"short-{number}"), None)
        await asyncio.sleep(0.02)
    assert replica.probes == 0
    over.set()
    assert await long == Reply("long@0.3")


async def test_another_process_in_a_known_place_is_asked_from_there_on() -> None:
    first, second = LocalReplica(), LocalReplica()
    router = Router("tiny", [first])
    await router.route_request("case", request("one"), None)
    await router.update_replicas([second])
    assert await router.route_request("case", request("two"), None) == Reply("two@0.3")
    assert (len(first.calls), len(second.calls)) == (1, 1)


async def test_one_call_that_ended_its_engine_takes_the_replica_out_whatever_its_neighbours_got() -> None:
    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        if len(requests) == 2:
            return [dead_engine(), Reply("in time")]
        return await answer(requests)

    replica = Counted(behave)
    router = Router("tiny", [replica])
    asked = [router.route_request("case", request("q", warmth), None) for warmth in (0.3, 1.2)]
    assert await asyncio.gather(*asked) == [Reply("q@0.3"), Reply("in time")]
    assert replica.waits == 1


async def test_calls_that_waited_while_a_suspect_was_alone_go_on_after_it() -> None:
    """The only replica is reserved for the suspect: nobody else would wake who waits for a free one."""
    alone = asyncio.Event()

    async def behave(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        if requests[0].text != "suspect":
            return await answer(requests)
        if not dead:
            dead.append(True)
            return [dead_engine()]
        await alone.wait()
        return await answer(requests)

    dead: list[bool] = []
    router = Router("tiny", [LocalReplica(behave)], poll_s=0.001)
    suspect = asyncio.ensure_future(router.route_request("case", request("suspect"), None))
    await turns()
    late = asyncio.ensure_future(router.route_request("other", request("late"), None))
    await turns()
    assert not late.done()
    alone.set()
    assert await asyncio.wait_for(asyncio.gather(suspect, late), 10) == [Reply("suspect@0.3"), Reply("late@0.3")]


async def test_further_calls_do_not_pass_for_a_sign_of_life() -> None:
    """A process that hangs goes on being asked: what is sent to it says nothing of what it does."""
    over = asyncio.Event()

    async def hang(requests: Sequence[Request]) -> list[ReplicaAnswer]:
        await over.wait()
        return await answer(requests)

    replica = LocalReplica(hang)
    router = Router("tiny", [replica], stall_s=0.05)
    asked = []
    while not replica.probes and len(asked) < 100:
        asked.append(asyncio.ensure_future(router.route_request(f"{len(asked)}", request(f"{len(asked)}"), None)))
        await asyncio.sleep(0.01)
    assert replica.probes
    over.set()
    assert len(await asyncio.gather(*asked)) == len(asked)
