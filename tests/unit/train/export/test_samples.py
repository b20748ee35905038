import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mics_ray.assemble.panel import build_strategy
from mics_ray.config.compose import compose_config
from mics_ray.core.search import search_case
from mics_ray.io.rows import Stamp, result_row
from mics_ray.testing import CASE, MENTORS
from tests.support.fake_panel import chancy
from tests.support.searched_samples import prompts, sample
from train.export.forms.pairs import step_pairs
from train.export.samples import Sample, scored_nodes, split_samples, steps_down_to
from train.export.select import unite_patients

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
    found = unite_patients([patient for patient, _ in samples], [digests for _, digests in samples])
    for one, (patient, digests) in zip(found, samples, strict=True):
        for other, (other_patient, other_digests) in zip(found, samples, strict=True):
            if patient == other_patient or set(digests) & set(other_digests):
                assert one == other
    assert set(found) <= {patient for patient, _ in samples}


def test_strangers_stay_strangers() -> None:
    assert unite_patients(["b", "a", "c", "d"], [["x"], ["x"], ["y"], []]) == ["a", "a", "c", "d"]


@given(st.lists(st.tuples(few, few), max_size=30), st.floats(0, 0.9), st.integers(0, 5))
def test_no_patient_is_on_both_sides_and_nobody_is_lost(rows: list[tuple[str, str]], share: float, seed: int) -> None:
    samples = [sample(id=str(at), patient=one, outcome=kind) for at, (one, kind) in enumerate(rows)]
    train, validation = split_samples(samples, share, seed)
    assert not {one.patient for one in train} & {one.patient for one in validation}
    assert sorted(one.id for one in [*train, *validation]) == sorted(one.id for one in samples)


def test_the_share_is_kept_over_all_and_in_each_stratum() -> None:
    _, validation = split_samples(many(400), 0.1, 0)
    assert len(validation) == 40
    assert Counter((one.outcome, one.rounds) for one in validation) == {
        ("depth", 1): 10,
        ("solved", 1): 10,
        ("solved", 2): 20,
    }


def test_groups_of_a_patient_come_near_the_share() -> None:
    train, validation = split_samples(many(300, patients_of=3), 0.1, 0)
    assert abs(len(validation) - 30) <= 3
    assert len({one.patient for one in train}) + len({one.patient for one in validation}) == 100


def test_small_strata_do_not_empty_the_validation_side() -> None:
    samples = [sample(id=str(at), patient=str(at), outcome=str(at % 10)) for at in range(40)]
    assert len(split_samples(samples, 0.05, 0)[1]) == 2


def test_no_share_is_no_validation() -> None:
    assert split_samples(many(20), 0.0, 0)[1] == []


def test_the_seed_decides_and_the_order_does_not() -> None:
    samples = many(100)
    chosen = {seed: {one.id for one in split_samples(samples, 0.2, seed)[1]} for seed in (0, 1)}
    assert chosen[0] != chosen[1]
    assert {one.id for one in split_samples(samples[::-1], 0.2, 0)[1]} == chosen[0]


@pytest.mark.parametrize("preset", ["paper", "reference", "best_of_n"])
def test_rows_of_real_searches_are_read_as_the_search_meant_them(preset: str) -> None:
    search = compose_config(["experiment=demo", f"search={preset}"]).search
    compared = 0
    for seed in range(40):
        policy = build_strategy(search, MENTORS)
        result = asyncio.run(search_case(CASE, policy, chancy(seed, 0.1).panel(), seed, search.restarts))
        row = result_row(result, {}, 0.0, Stamp(seed, "digest", "version"))
        read = sample(nodes=tuple(row["nodes"]), steps=tuple(row["steps"]))
        shift = 0
        for tree in result.attempts:
            for one in tree.nodes:
                parent = None if one.parent is None else one.parent + shift
                assert steps_down_to(read, parent) == tree.prefix_to(one.parent)
            shift += len(tree.nodes)
        assert len(scored_nodes(read)) == sum(one.score is not None for tree in result.attempts for one in tree.nodes)
        compared += len(list(step_pairs([read], prompts())))
    assert compared > 10
