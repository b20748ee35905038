"""As much of Ray's dashboard as a submission to a cluster that exists speaks with."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.ray_dashboard import Dashboard


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    with Dashboard() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
