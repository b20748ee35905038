"""The pages in a real browser; skipped where chromium or its driver is not installed (`make browser` installs both)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import CHROMIUM, start_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for the tests of a file, whose event loop ends with it; each page has a profile of its own."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make env")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: make browser")
    with start_browser() as started:
        yield started
