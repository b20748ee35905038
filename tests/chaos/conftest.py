"""The run that nobody disturbed, which every disturbed one is held against."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.faulty_provider import FaultyProvider
from tests.support.whole_run import WholeRun

CASES = 24
LATENCY_S = 0.03
PRICE = (2.5, 10.0)
SETTINGS = {
    "deadline_s": 10, "max_in_flight": 16, "max_tokens": 256,
    "price": {"input_per_mtok": PRICE[0], "output_per_mtok": PRICE[1]},
}  # fmt: skip


@dataclass(frozen=True)
class Calm:
    """Canonical result, calls, their bill, and the size of the run's folder in MB."""

    result: list[list[Any]]
    calls: int
    bill_usd: float
    megabytes: float


@pytest.fixture(scope="session")
def calm_run(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    run = WholeRun(tmp_path_factory.mktemp("calm"), CASES)
    with FaultyProvider(latency_s=LATENCY_S, price=PRICE) as provider:
        provider.write_groups(run.folder / "conf", **SETTINGS)
        done = run.to_end()
        assert done.returncode == 0, done.stderr
    found = run.result()
    assert [row[0] for row in found] == [f"case-{number:04}" for number in range(CASES)]
    assert provider.repaid() == 0
    return Calm(found, len(provider.times), provider.bill_usd, run.megabytes())
