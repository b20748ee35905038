"""What travels between processes arrives as it was sent."""

import pickle

import pytest

from mics_ray.core import ports, search, tree, types
from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.mics import Mics

FAILURE = types.Failure("timeout", "late")
VOTE = types.Vote("x", 0.3, "text", "answer", types.Verdict.RIGHT, "Yes", FAILURE)
CASE = types.Case("c", "q", "a", ("p.png",), (types.Note("l", "t"),))
CHAIN = types.Continuation(("s",), "a")
NODE = tree.Node(0, None, 1, "m", ("s",), CHAIN, (VOTE,), FAILURE)
TREE = tree.SearchTree("c", 1, (NODE,))
THINGS = [
    FAILURE, VOTE, CASE, CHAIN, NODE, TREE, types.Finish("t", "a"), types.Judgement(types.Verdict.WRONG, "No"),
    *types.Outcome, *types.Quality, *types.Verdict, types.Usage(1, 2, 3, 4, 5.0), ports.Expand(0, ("m",), None),
    ports.Stop(types.Outcome.DEPTH, 0, "r"), Mics(("m",)), BestOfN(("m",)),
    search.SearchResult(CASE, types.Outcome.DEPTH, "r", types.Quality.KEEP, CHAIN, 0, (TREE,)),
]  # fmt: skip


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_there_and_back(thing: object) -> None:
    back = pickle.loads(pickle.dumps(thing))
    assert back == thing
    assert type(back) is type(thing)


def test_a_lost_call_keeps_its_evidence() -> None:
    back = pickle.loads(pickle.dumps(types.LostCall(FAILURE, "canary")))
    assert (back.failure, back.text, str(back)) == (FAILURE, "canary", "timeout: late")


@pytest.mark.parametrize("thing", [VOTE, CASE, NODE, TREE, Mics(("m",))], ids=lambda thing: type(thing).__name__)
def test_frozen_and_slotted(thing: object) -> None:
    name = next(iter(thing.__dataclass_fields__))  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        setattr(thing, name, "changed")
    assert not hasattr(thing, "__dict__")
