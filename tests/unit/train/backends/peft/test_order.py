import numpy as np
import pytest

from train.backends.peft.order import WINDOW, SampleOrder, step_count

pytestmark = pytest.mark.heavy


def order(samples: int, batch: int = 4, epochs: float = 1.0, seed: int = 0) -> SampleOrder:
    sizes = np.random.default_rng(1).integers(1, 500, (samples, 2))
    return SampleOrder(sizes, batch, step_count(samples, batch, epochs, None), seed)


@pytest.mark.parametrize(("samples", "epochs"), [(4 * WINDOW + 12, 1.0), (37, 3.0), (3, 2.0)])
def test_every_sample_is_drawn_once_a_pass_and_the_last_batch_is_filled_up(samples: int, epochs: float) -> None:
    drawn = np.concatenate(list(order(samples, epochs=epochs).iter_batches(0)))
    counts = np.bincount(drawn, minlength=samples)
    assert len(drawn) % 4 == 0
    assert counts.min() >= epochs
    assert counts.sum() - epochs * samples < 4


def test_going_on_from_a_step_gives_what_an_unbroken_order_gives() -> None:
    whole = [batch.tolist() for batch in order(1000).iter_batches(0)]
    for first in (1, WINDOW - 1, WINDOW, WINDOW + 5, 249):
        assert [batch.tolist() for batch in order(1000).iter_batches(first)] == whole[first:]


def test_workers_and_accumulation_share_a_batch_without_overlap() -> None:
    made = order(64, batch=16)
    parts = [list(made.iter_micro_batches(0, rank, 2, 2)) for rank in (0, 1)]
    assert [len(part) for part in parts] == [16, 16]  # 4 steps of 4 micro-batches
    for step, batch in enumerate(made.iter_batches(0)):
        taken = [number for part in parts for micro in part[4 * step : 4 * step + 4] for number in micro]
        assert sorted(taken) == sorted(batch.tolist())


def test_samples_of_a_batch_are_of_like_length_and_the_batches_in_no_order() -> None:
    made = order(16 * WINDOW)
    lengths = [made.sizes[batch, 0] for batch in made.iter_batches(0)]
    assert max(length.max() - length.min() for length in lengths) < 60  # of 500, at random about 300
    means = [length.mean() for length in lengths]
    assert means != sorted(means)


def test_a_batch_of_a_small_stage_seldom_holds_a_sample_twice_and_is_another_one_each_pass() -> None:
    batches = [tuple(batch.tolist()) for batch in order(64, epochs=10.0).iter_batches(0)]
    assert sum(len(set(batch)) < len(batch) for batch in batches) <= 10  # windows over the border of two passes
    assert len({frozenset(batch) for batch in batches}) > 150  # of 160


def test_another_seed_or_pass_gives_another_order() -> None:
    assert [b.tolist() for b in order(64).iter_batches(0)] != [b.tolist() for b in order(64, seed=1).iter_batches(0)]
    first, second = np.split(np.concatenate(list(order(4 * WINDOW, epochs=2.0).iter_batches(0))), 2)
    assert first.tolist() != second.tolist()


def test_steps_follow_epochs_and_the_limit() -> None:
    assert step_count(100, 16, 1.0, None) == 7
    assert step_count(100, 16, 0.5, None) == 4
    assert step_count(100, 16, 3.0, 5) == 5
    assert step_count(1, 16, 0.1, None) == 1
