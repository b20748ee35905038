"""`pytest tests/golden --regenerate-golden` writes the stored files anew; read the difference before committing it."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write the stored golden files anew")


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether the stored files are to be written instead of compared."""
    return bool(request.config.getoption("--regenerate-golden", default=False))
