import pickle
import tracemalloc

from mics_ray.io.index.ids import IdSet


def test_add_says_whether_the_id_was_unknown() -> None:
    ids = IdSet()
    assert [ids.add(text) for text in ("a", "b", "a", "ä😀")] == [True, True, False, True]
    assert "a" in ids
    assert "c" not in ids
    assert 7 not in ids
    assert len(ids) == 3


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
