from pathlib import Path

import pytest

from mics_ray.assemble.probe import probe_models
from mics_ray.config.schema import Config, ModelConfig, Price
from mics_ray.models.replies.ledger import Ledger, read_spent_usd
from tests.support.faulty_server import FaultyServer


async def test_the_word_that_is_asked_first_is_paid_from_the_budget(tmp_path: Path) -> None:
    async with FaultyServer() as server:
        judge = ModelConfig(model="m", base_url=server.url, price=Price(input_per_mtok=2.0, output_per_mtok=10.0))
        await probe_models(Config(mentors={}, interns={}, judge=judge), Ledger(tmp_path, "probe", None))
        assert len(server.seen) == 1
    assert read_spent_usd(tmp_path) == pytest.approx((100 * 2 + 20 * 10) / 1e6)
