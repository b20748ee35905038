"""The chains that are given to reviewers: by shares of outcome and score, or where votes are split."""

from collections import Counter

from mics_ray.review.marks.sample import Candidate, Order, choose_chains, describe_candidate, draw_sample, share_places
from tests.support.run_folders import row

A, B, C = ("solved", "1"), ("depth", "to 0.6"), ("depth", "0")


def make_candidates(**counts: int) -> list[Candidate]:
    strata = {"a": A, "b": B, "c": C}
    return [Candidate(f"{name}{at}", strata[name], 0.0) for name, count in counts.items() for at in range(count)]


def test_places_are_shared_in_proportion_and_a_rare_stratum_has_one() -> None:
    assert share_places({A: 70, B: 29, C: 1}, 10) == Counter({A: 7, B: 2, C: 1})
    assert share_places({A: 2, B: 1, C: 1}, 100) == Counter({A: 2, B: 1, C: 1})
    assert share_places({A: 5, B: 3, C: 1}, 2) == Counter({A: 1, B: 1, C: 0})
    assert share_places({A: 5}, 0) == Counter({A: 0})
    assert share_places({}, 5) == Counter()


def test_a_sample_is_the_seeds_and_not_the_orders() -> None:
    found = make_candidates(a=40, b=20, c=2)
    first = draw_sample(found, 12, 0)
    assert draw_sample(found[::-1], 12, 0) == first
    assert draw_sample(found, 12, 1) != first
    assert len(set(first)) == 12
    assert Counter(name[0] for name in first) == Counter(a=7, b=4, c=1)
    # Not one stratum after the other: whoever stops early has marked a sample too.
    assert first != sorted(first)
    assert set(draw_sample(found, 1000, 0)) == {one.case_id for one in found}


def test_chains_without_a_case_and_dead_ends_are_no_candidates() -> None:
    rows = [row("one"), row("end", outcome="dead_end") | {"steps": []}, row("two"), row("lost") | {"outcome": "failed"}]
    assert set(choose_chains(rows, Order.SAMPLE, 10, 0)) == {"one", "two"}


def test_split_votes_come_first() -> None:
    half = row("half", ({"ann": "rrww", "bob": "wwww"}, {"ann": "rrrr", "bob": "wwww"}))
    none = row("none", ({"ann": "rrrr", "bob": "wwww"},), "a")
    most = row("most", ({"ann": "rrrw", "bob": "wwww"},), "a")
    assert [describe_candidate(one).split for one in (half, none, most)] == [1.0, 0.0, 0.5]
    assert choose_chains([none, most, half], Order.UNCERTAINTY, 2, 0) == ["half", "most"]
    unknown = row("unknown", ({"ann": "????", "bob": "wwww"},), "a")
    assert describe_candidate(unknown).split == 0.0
    assert describe_candidate(unknown).stratum == ("solved", "none")
