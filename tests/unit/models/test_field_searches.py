"""Searches over real HTTP against what today's providers do: rows, calls and bill of calm ones, or a clear refusal."""

import asyncio
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.models.replies.ledger import Ledger, read_spent_usd
from tests.support.faulty_provider import FIELD
from tests.support.field_provider import FILTERS, FIREWALLS, REFUSALS, FieldProvider
from tests.support.http_search import search as search_cases
from tests.support.whole_run import drop_replies

pytestmark = pytest.mark.heavy

CASES = 3
ODD = "case-0001"
PRICE = (2.5, 10.0)
EXACT = {
    "told_429": 0.1,
    "told_502": 0.1,
    "minute_quota": 0.02,
    "gemini_limit": 0.05,
    "reset_header": 0.05,
    "parts": 0.15,
}
"""Faults that cost nothing, and shapes that cost what they say: of these the bill is known to the cent."""


@dataclass(frozen=True)
class Searched:
    """What searches found by case, what they cost, and how many calls were answered."""

    rows: list[dict[str, Any]]
    spent_usd: float
    calls: int

    def found(self, but: str = "") -> list[Any]:
        """What counts of the rows: all but replies as they came."""
        names = ("case_id", "outcome", "steps", "scores", "mentors", "nodes")
        return [[drop_replies(row[name]) for name in names] for row in self.rows if row["case_id"] != but]


async def search(folder: Path, provider: FieldProvider) -> Searched:
    """The probe and the rows of a few cases, one after the other, with all models behind ``provider``."""
    price = {"input_per_mtok": PRICE[0], "output_per_mtok": PRICE[1]}
    with closing(Ledger(folder, "test", None)) as ledger:
        rows = await search_cases(
            folder, provider, CASES, ledger, probe=True, max_tokens=256, deadline_s=20, price=price
        )
    return Searched(rows, read_spent_usd(folder), len(provider.times))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """What nobody disturbed."""
    with FieldProvider(price=PRICE) as plain:
        found = asyncio.run(search(tmp_path_factory.mktemp("calm"), plain))
    assert found.spent_usd == pytest.approx(plain.bill_usd)
    return found


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param(EXACT, id="several"),
        *(pytest.param({kind: 0.1}, id=kind, marks=pytest.mark.slow) for kind in FIELD if kind not in EXACT),
    ],
)
async def test_transient_faults_and_other_shapes(tmp_path: Path, calm: Searched, rates: dict[str, float]) -> None:
    with FieldProvider(price=PRICE, rates=rates, seed=3, form="think") as odd:
        other = await search(tmp_path, odd)
    assert all(odd.injected[kind] > 0 for kind in rates), odd.injected
    assert other.found() == calm.found()
    assert len(odd.times) <= calm.calls + odd.injected.total()
    if rates is EXACT:
        assert other.spent_usd == pytest.approx(odd.bill_usd) == pytest.approx(calm.spent_usd)
    elif "odd_fields" not in rates:
        assert other.spent_usd >= odd.bill_usd - 1e-9, "what may have been charged is taken to have been"


@pytest.mark.parametrize(
    "kind",
    [
        "azure",
        "page",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in (*FILTERS, *FIREWALLS)
            if kind not in ("azure", "page")
        ),
    ],
)
async def test_one_case_is_refused(tmp_path: Path, calm: Searched, kind: str) -> None:
    refuse = (FILTERS | FIREWALLS)[kind]
    with FieldProvider(refuse=refuse, whom=rf"^mentor-\d (?s:.*){ODD}") as odd:
        other = await search(tmp_path, odd)
    assert other.found(but=ODD) == calm.found(but=ODD)
    assert set(odd.turned_away.values()) == {1}, "one attempt each"
    row = next(row for row in other.rows if row["case_id"] == ODD)
    assert row["outcome"] == "failed"
    assert ("blocked" if kind in FIREWALLS else "refused") in str(row)


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_model_that_refuses_every_call_is_refused_at_the_probe(tmp_path: Path, kind: str) -> None:
    refuse, advice = REFUSALS[kind]
    with FieldProvider(refuse=refuse, whom="^(mentor-1|judge-0) ") as provider:
        with pytest.raises(RefusedRun) as refused:
            await search(tmp_path, provider)
        said = str(refused.value)
        for name, model in (("mentor_1", "mentor-1"), ("judge", "judge-0")):
            line = next(line for line in said.splitlines() if line.startswith(f"{name}: "))
            assert f"(model {model}, {provider.url}" in line
            assert advice in line
    assert not provider.times, "nothing but probes"
