"""For every unit test but those of the configuration: what Hydra makes of the same choices is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.quick_compose import compose_quickly

CONFIG = Path(__file__).parent / "config"


@pytest.fixture(scope="module", autouse=True)
def _compose_quickly(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.path.is_relative_to(CONFIG):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mics_ray.config.compose.compose", compose_quickly)
        yield
