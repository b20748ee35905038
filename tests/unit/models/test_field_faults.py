"""Searches before a provider that fails as those of the field do, one kind at a time: the rows of a calm search, few
calls more, and a bill that is true."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mics_ray.models.replies.ledger import Ledger, read_spent_usd
from tests.support.faulty_provider import FIELD, SHAPES, UNPAID, FaultyProvider
from tests.support.http_search import search

pytestmark = pytest.mark.heavy

PRICE = (2.5, 10.0)
SETTINGS: dict[str, Any] = {
    "max_tokens": 256, "price": {"input_per_mtok": PRICE[0], "output_per_mtok": PRICE[1]}, "deadline_s": 20,
}  # fmt: skip


@dataclass(frozen=True)
class Calm:
    """What nobody disturbed: rows, calls, bill."""

    rows: list[Any]
    calls: int
    bill_usd: float


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    folder = tmp_path_factory.mktemp("calm")
    with FaultyProvider(price=PRICE) as provider:
        rows = asyncio.run(search(folder, provider, 1, Ledger(folder, "calm", None), **SETTINGS))
    assert read_spent_usd(folder) == pytest.approx(provider.bill_usd)
    return Calm(told(rows), len(provider.times), provider.bill_usd)


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.retry.BASE_S", 0.01)


def told(rows: list[dict[str, Any]]) -> list[Any]:
    """A search's results, what they cost left out."""
    return [{name: value for name, value in row.items() if name != "usage"} for row in rows]


@pytest.mark.parametrize("kind", FIELD)
async def test_one_kind_of_fault_changes_nothing_but_the_number_of_calls(tmp_path: Path, calm: Calm, kind: str) -> None:
    with FaultyProvider(price=PRICE, rates={kind: 0.2}, most=1) as provider:
        rows = await search(tmp_path, provider, 1, Ledger(tmp_path, "other", None), **SETTINGS)
    assert provider.injected[kind] > 0
    assert told(rows) == calm.rows
    assert len(provider.times) == calm.calls + (0 if kind in SHAPES else provider.injected[kind])
    assert provider.repaid() == 0
    spent = read_spent_usd(tmp_path)
    if kind in UNPAID:
        assert spent == pytest.approx(provider.bill_usd) == pytest.approx(calm.bill_usd)
    elif kind != "odd_fields":  # a usage that is told otherwise is billed as it is told
        assert spent >= provider.bill_usd * 0.999, "what may have been charged is set aside"


async def test_what_is_refused_is_asked_once_and_no_vote_of_it_is_wrong(tmp_path: Path, calm: Calm) -> None:
    with FaultyProvider(rates={"refusal": 0.2}, stubborn=True) as provider:
        rows = await search(tmp_path, provider, 1, None, **SETTINGS)
    assert provider.injected["refusal"] > 0
    assert max(provider.asked.values()) == 1
    votes = [vote for row in rows for node in row["nodes"] for vote in node["votes"] if vote["failure"]]
    assert {vote["verdict"] for vote in votes} == {"unknown"}
