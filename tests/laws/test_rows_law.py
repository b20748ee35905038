"""Whatever a search held, its row comes back from the disk as it was handed in."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.core.search import SearchResult
from mics_ray.core.seeds import attempt_seed
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Case, Continuation, Failure, Outcome, Quality, Usage, Verdict, Vote
from mics_ray.io.records import Rejection
from mics_ray.io.rows import Stamp, read_trees, rejected_row, result_row
from mics_ray.io.shards.reading import iter_rows
from mics_ray.io.shards.store import ShardStore
from tests.support.version_2 import rewrite_as_version_2

TEXT = st.text(st.characters(), max_size=12)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
FAILURE = st.none() | st.builds(Failure, TEXT, TEXT)
FLOAT = st.floats(allow_nan=False)
CHAIN = st.builds(Continuation, TEXTS, TEXT)
ASKED = [verdict for verdict in Verdict if verdict is not Verdict.UNASKED]
COUNT = st.integers(0, 2**62)
USAGE = st.dictionaries(st.sampled_from(["m", "j", "i"]), st.builds(Usage, *[COUNT] * 4, FLOAT, COUNT, COUNT))


@st.composite
def trees(draw: st.DrawFn, verdicts: Sequence[Verdict]) -> SearchTree:
    """A tree of up to three rounds, each grown from any node of the round before."""
    tree, parent = SearchTree("c", 0), None
    vote = st.builds(Vote, TEXT, FLOAT, TEXT, TEXT, st.sampled_from(verdicts), TEXT, FAILURE)
    for number in range(1, draw(st.integers(1, 3)) + 1):
        fields = (TEXTS, CHAIN, st.lists(vote, max_size=3).map(tuple), FAILURE)
        level = [Node(-1, parent, number, mentor, *map(draw, fields)) for mentor in ("a", "ä\0")]
        tree = tree.add_round(level)
        parent = draw(st.sampled_from(tree.round_nodes(number))).id
    return tree


@st.composite
def results(draw: st.DrawFn, verdicts: Sequence[Verdict] = tuple(Verdict)) -> SearchResult:
    attempts = tuple(draw(st.lists(trees(verdicts), min_size=1, max_size=2)))
    leaf = draw(st.none() | st.sampled_from([node.id for node in attempts[-1].nodes]))
    case = Case(draw(TEXT), draw(TEXT), draw(TEXT), draw(TEXTS))
    chain = draw(st.none() | CHAIN)
    return SearchResult(
        case, draw(st.sampled_from(Outcome)), draw(TEXT), draw(st.sampled_from(Quality)), chain, leaf, attempts
    )


@given(result=results(), usage=USAGE, seconds=FLOAT, seed=st.integers(-(2**63), 2**63 - 1), texts=TEXTS)
@settings(max_examples=40, deadline=None)
def test_round_trip(
    result: SearchResult, usage: dict[str, Usage], seconds: float, seed: int, texts: tuple[str]
) -> None:
    stamp = Stamp(seed, "digest", "version")
    searched = result_row(result, usage, seconds, stamp)
    rejection = Rejection(1, searched["case_id"] + "'", "why", "Q", "A", texts)
    rows = [searched, rejected_row(rejection, stamp)]
    with tempfile.TemporaryDirectory() as folder:
        ShardStore(Path(folder)).commit(rows)
        assert list(iter_rows(Path(folder))) == rows


@given(result=results(ASKED), usage=USAGE)
@settings(max_examples=40, deadline=None)
def test_rows_of_version_2_are_read_as_those_of_version_3_without_what_they_did_not_keep(
    result: SearchResult, usage: dict[str, Usage]
) -> None:
    kept = {name: replace(used, cached_tokens=0, reasoning_tokens=0) for name, used in usage.items()}
    row = result_row(result, kept, 0.0, Stamp(0, "digest", "version"))
    with tempfile.TemporaryDirectory() as folder:
        ShardStore(Path(folder) / "results").commit([row])
        rewrite_as_version_2(Path(folder))
        assert list(iter_rows(Path(folder) / "results")) == [row | {"schema_version": 2, "context_names_answer": None}]


@given(result=results())
@settings(max_examples=40, deadline=None)
def test_node_ids_are_unique_and_chosen_nodes_are_one_path_per_attempt(result: SearchResult) -> None:
    nodes = result_row(result, {}, 0, Stamp(0, "", ""))["nodes"]
    assert [node["id"] for node in nodes] == list(range(len(nodes)))
    for node in nodes:
        if node["parent"] is not None:
            parent = nodes[node["parent"]]
            assert (parent["attempt"], parent["round"]) == (node["attempt"], node["round"] - 1)
            assert parent["chosen"] or not node["chosen"]
    for attempt in range(1, len(result.attempts) + 1):
        rounds = [node["round"] for node in nodes if node["chosen"] and node["attempt"] == attempt]
        assert rounds == list(range(1, len(rounds) + 1))


@given(result=results(), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_the_trees_of_a_row_are_those_of_the_search_but_for_what_mentors_wrote_on(
    result: SearchResult, seed: int
) -> None:
    stamp = Stamp(seed, "", "")
    row = result_row(result, {}, 0, stamp)
    trees = read_trees(row)
    assert [tree.seed for tree in trees] == [attempt_seed(seed, n) for n in range(1, len(result.attempts) + 1)]
    again = result_row(replace(result, attempts=tuple(trees)), {}, 0, stamp)
    apart = {"rest": "", "leaks": [], "leak_checks": []}
    assert [node | apart for node in again["nodes"]] == [node | apart for node in row["nodes"]]
