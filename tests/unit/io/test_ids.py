import pickle
import random
import tracemalloc

import numpy as np

from mics_ray.io.index.ids import IdSet, hash_id


def test_add_says_whether_the_id_was_unknown() -> None:
    ids = IdSet()
    assert [ids.add(text) for text in ("a", "b", "a", "ä😀")] == [True, True, False, True]
    assert "a" in ids
    assert "c" not in ids
    assert 7 not in ids
    assert len(ids) == 3


def test_many_hashes_at_a_time_are_as_one_after_the_other() -> None:
    chance, one, many = random.Random(0), IdSet(), IdSet()
    for size in (0, 1, 50, 3, 400, 2, 900, 0, 7):
        hashes = np.array([hash_id(str(chance.randrange(900))) for _ in range(size)], np.uint64)
        assert many.has_hashes(hashes).tolist() == [one.has_hashes(hashes[at : at + 1]).all() for at in range(size)]
        for hashed in hashes.tolist():
            one.add_hash(hashed)
        many.add_hashes(hashes)
        assert many.has_hashes(hashes).all()
        assert len(many) == len(one)
        assert many.sort_hashes().tolist() == one.sort_hashes().tolist()
        assert [str(number) in many for number in range(900)] == [str(number) in one for number in range(900)]
    again = pickle.loads(pickle.dumps(many))
    assert not again.add_hash(int(hashes[0]))
    assert again.add("another")


def test_it_survives_pickling() -> None:
    ids = IdSet()
    ids.add("a")
    again = pickle.loads(pickle.dumps(ids))
    assert "a" in again
    assert "b" not in again


def test_a_hundred_thousand_ids_fit_in_ten_megabytes_however_long_they_are() -> None:
    ids = IdSet()
    tracemalloc.start()
    for number in range(100_000):
        ids.add(f"{number:0200}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(ids) == 100_000
    assert peak < 10e6


def test_what_is_added_one_by_one_takes_no_more_memory_than_what_is_added_together() -> None:
    tracemalloc.start()
    ids = IdSet()
    assert all(ids.add(f"case-{number}") for number in range(50_000))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert not ids.add("case-7")
    assert len(ids) == 50_000
    assert all(f"case-{number}" in ids for number in range(0, 50_000, 97))
    assert "case-50000" not in ids
    assert kept < 30 * 50_000, "bytes: 8 an id, and some that are not sorted in yet"
