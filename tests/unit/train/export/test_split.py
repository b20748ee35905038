from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from train.export.split import Stratum, choose_validation, draw_place, find_leaders

few = st.sampled_from("abcdefgh")
Row = tuple[str, Stratum]


def many(count: int, patients_of: int = 1) -> list[Row]:
    """Samples, as patient and stratum, of two outcomes and two numbers of rounds, some for each patient."""
    return [
        (f"p{number // patients_of}", ("solved" if number % 4 else "depth", 1 + number % 2)) for number in range(count)
    ]


def validate(rows: list[Row], share: float, seed: int = 0) -> list[Row]:
    """The samples that validate."""
    patients: dict[str, Counter[Stratum]] = defaultdict(Counter)
    for patient, stratum in rows:
        patients[patient][stratum] += 1
    drawn = sorted(patients.items(), key=lambda one: draw_place(seed, one[0]))
    chosen = set(choose_validation(drawn, Counter(stratum for _, stratum in rows), share))
    return [row for row in rows if row[0] in chosen]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_a_leader_is_the_lowest_of_all_that_are_joined(pairs: list[tuple[int, int]]) -> None:
    leaders = find_leaders(10, pairs)
    groups: dict[int, set[int]] = defaultdict(set)
    for number, leader in enumerate(leaders):
        groups[leader].add(number)
    assert all(leader == min(group) for leader, group in groups.items())
    assert all(leaders[one] == leaders[other] for one, other in pairs)
    # Each pair joins two groups at most.
    assert len(groups) >= 10 - len(set(pairs))


def test_the_share_is_kept_over_all_and_in_each_stratum() -> None:
    validation = validate(many(400), 0.1)
    assert Counter(stratum for _, stratum in validation) == {("depth", 1): 10, ("solved", 1): 10, ("solved", 2): 20}


def test_groups_of_a_patient_come_near_the_share() -> None:
    assert abs(len(validate(many(300, patients_of=3), 0.1)) - 30) <= 3


def test_small_strata_do_not_empty_the_validation_side() -> None:
    rows: list[Row] = [(str(at), (str(at % 10), 1)) for at in range(40)]
    assert len(validate(rows, 0.05)) == 2


def test_no_share_is_no_validation() -> None:
    assert validate(many(20), 0.0) == []


def test_the_seed_decides_and_the_order_does_not() -> None:
    rows = many(100)
    chosen = {seed: set(validate(rows, 0.2, seed)) for seed in (0, 1)}
    assert chosen[0] != chosen[1]
    assert set(validate(rows[::-1], 0.2, 0)) == chosen[0]
