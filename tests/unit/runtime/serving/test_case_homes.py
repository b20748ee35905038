"""Where cases are at home: kept there, evenly loaded, and moved away from a replica that is too busy or gone."""

from collections import Counter

import pytest

from mics_ray.runtime.serving.case_homes import KEPT_HOMES, ROOM, SLACK, UNEVEN, CaseHomes, ReplicaLoad

CASES = [f"case-{number}" for number in range(300)]


def load(*in_flight: int) -> list[ReplicaLoad]:
    return [ReplicaLoad(number, requests) for number, requests in enumerate(in_flight)]


IDLE = load(0, 0, 0, 0)


def test_cases_are_spread_evenly_and_keep_their_replica() -> None:
    homes = CaseHomes()
    first = {case: homes.choose_replica(case, IDLE) for case in CASES}
    assert set(Counter(first.values()).values()) == {len(CASES) // 4}
    assert {case: homes.choose_replica(case, IDLE[::-1]) for case in CASES} == first


def test_every_process_begins_alike_and_not_every_case_on_the_same_replica() -> None:
    first = {case: CaseHomes().choose_replica(case, IDLE) for case in CASES}
    assert first == {case: CaseHomes().choose_replica(case, IDLE[::-1]) for case in CASES}
    assert all(Counter(first.values())[number] > len(CASES) / 8 for number in range(4))


def test_requests_that_come_together_count_each() -> None:
    homes = CaseHomes()
    home = homes.choose_replica("many", load(0, 0), 8)
    assert {homes.choose_replica(case, load(0, 0)) for case in CASES[:8]} == {1 - home}


def test_cases_of_different_lengths_load_the_replicas_alike() -> None:
    homes, given, moved = CaseHomes(), Counter[int](), 0
    where: dict[str, int] = {}
    for turn in range(4):
        for case in CASES[: len(CASES) // (turn + 1)]:
            number = homes.choose_replica(case, IDLE, 6)
            moved += where.get(case, number) != number
            where[case] = number
            given[number] += 6
    assert max(given.values()) - min(given.values()) <= UNEVEN + 6
    assert moved < len(CASES) / 10


def test_a_home_that_was_given_too_much_is_left_and_not_returned_to() -> None:
    homes = CaseHomes()
    home = homes.choose_replica("long", IDLE)
    taken = [homes.choose_replica("long", IDLE) for _ in range(2 * UNEVEN)]
    other = taken[-1]
    assert taken == [home] * UNEVEN + [other] * UNEVEN
    assert other != home


def test_only_the_cases_of_a_dead_replica_move_and_stay_where_they_went() -> None:
    homes = CaseHomes()
    before = {case: homes.choose_replica(case, IDLE) for case in CASES[:32]}
    meanwhile = {case: homes.choose_replica(case, IDLE[:3]) for case in before}
    after = {case: homes.choose_replica(case, IDLE) for case in before}
    assert all(meanwhile[case] == number for case, number in before.items() if number != 3)
    assert after == meanwhile


def test_one_that_was_away_need_not_catch_up() -> None:
    homes = CaseHomes()
    for case in CASES:
        homes.choose_replica(case, IDLE[:3])
    back = Counter(homes.choose_replica(f"later-{case}", IDLE) for case in CASES)
    assert back[3] == pytest.approx(len(CASES) / 4, abs=UNEVEN)


def test_one_that_takes_over_alone_is_not_taken_for_one_that_was_given_nothing() -> None:
    homes = CaseHomes()
    for case in CASES:
        homes.choose_replica(case, load(0, 0))
    homes.choose_replica("alone", [ReplicaLoad(2, 0)])
    later = Counter(homes.choose_replica(f"later-{case}", load(0, 0, 0)) for case in CASES)
    assert later[2] == pytest.approx(len(CASES) / 3, abs=UNEVEN)


def test_a_busy_home_is_left_and_a_somewhat_busier_one_is_not() -> None:
    homes = CaseHomes()
    home = homes.choose_replica("case", load(0, 0))
    full = 2 * SLACK  # beside an idle one the mean is half
    busy = [load(full, 0), load(0, full)][home]
    busier = [load(full + 2, 0), load(0, full + 2)][home]
    assert homes.choose_replica("case", busy) == home
    assert homes.choose_replica("case", busier) == 1 - home


def test_a_slow_replica_gets_no_further_cases_and_owes_none() -> None:
    homes = CaseHomes()
    slow = load(2 * ROOM + 1, 0)
    assert {homes.choose_replica(case, slow) for case in CASES} == {1}
    later = Counter(homes.choose_replica(f"later-{case}", load(0, 0)) for case in CASES)
    assert later[0] == pytest.approx(len(CASES) / 2, abs=UNEVEN)
    assert homes.choose_replica("fresh", load(2 * ROOM, 0)) in (0, 1)


def test_the_only_replica_takes_everything() -> None:
    assert CaseHomes().choose_replica("case", [ReplicaLoad(2, 10_000)]) == 2


def test_any_id_has_a_place() -> None:
    assert CaseHomes().choose_replica("\ud800\x00", load(0, 0)) in (0, 1)


def test_what_is_kept_of_cases_is_bounded() -> None:
    homes = CaseHomes()
    for number in range(KEPT_HOMES + 10):
        homes.choose_replica(f"case-{number}", IDLE)
    assert len(homes._homes) == KEPT_HOMES
    assert "case-9" not in homes._homes
