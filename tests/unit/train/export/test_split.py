from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support.searched_samples import sample
from train.export.sample import Sample
from train.export.split import patients, split

few = st.sampled_from("abcdefgh")


def many(count: int, patients_of: int = 1) -> list[Sample]:
    """Samples of two outcomes and two numbers of rounds, some for each patient."""
    return [
        sample(
            id=f"s{number}",
            patient=f"p{number // patients_of}",
            outcome="solved" if number % 4 else "depth",
            rounds=1 + number % 2,
        )
        for number in range(count)
    ]


@given(st.lists(st.tuples(few, st.lists(few, max_size=3)), max_size=12))
def test_samples_of_a_patient_or_with_a_picture_in_common_are_one_patients(
    samples: list[tuple[str, list[str]]],
) -> None:
    found = patients([patient for patient, _ in samples], [digests for _, digests in samples])
    for one, (patient, digests) in zip(found, samples, strict=True):
        for other, (other_patient, other_digests) in zip(found, samples, strict=True):
            if patient == other_patient or set(digests) & set(other_digests):
                assert one == other
    assert set(found) <= {patient for patient, _ in samples}


def test_strangers_stay_strangers() -> None:
    assert patients(["b", "a", "c", "d"], [["x"], ["x"], ["y"], []]) == ["a", "a", "c", "d"]


@given(st.lists(st.tuples(few, few), max_size=30), st.floats(0, 0.9), st.integers(0, 5))
def test_no_patient_is_on_both_sides_and_nobody_is_lost(rows: list[tuple[str, str]], share: float, seed: int) -> None:
    samples = [sample(id=str(at), patient=one, outcome=kind) for at, (one, kind) in enumerate(rows)]
    train, validation = split(samples, share, seed)
    assert not {one.patient for one in train} & {one.patient for one in validation}
    assert sorted(one.id for one in [*train, *validation]) == sorted(one.id for one in samples)


def test_the_share_is_kept_over_all_and_in_each_stratum() -> None:
    _, validation = split(many(400), 0.1, 0)
    assert len(validation) == 40
    assert Counter((one.outcome, one.rounds) for one in validation) == {
        ("depth", 1): 10,
        ("solved", 1): 10,
        ("solved", 2): 20,
    }


def test_groups_of_a_patient_come_near_the_share() -> None:
    train, validation = split(many(300, patients_of=3), 0.1, 0)
    assert abs(len(validation) - 30) <= 3
    assert len({one.patient for one in train}) + len({one.patient for one in validation}) == 100


def test_small_strata_do_not_empty_the_validation_side() -> None:
    samples = [sample(id=str(at), patient=str(at), outcome=str(at % 10)) for at in range(40)]
    assert len(split(samples, 0.05, 0)[1]) == 2


def test_no_share_is_no_validation() -> None:
    assert split(many(20), 0.0, 0)[1] == []


def test_the_seed_decides_and_the_order_does_not() -> None:
    samples = many(100)
    chosen = {seed: {one.id for one in split(samples, 0.2, seed)[1]} for seed in (0, 1)}
    assert chosen[0] != chosen[1]
    assert {one.id for one in split(samples[::-1], 0.2, 0)[1]} == chosen[0]
