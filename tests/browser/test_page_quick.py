"""The report's page, the two tests of it that every `make test` runs where chromium is there."""

from pathlib import Path
from typing import Any

import pytest

from mics_ray.review.report import make_report
from mics_ray.review.run_source import open_source
from tests.support.browser import file_address, open_page
from tests.support.run_folders import make_run, row

pytestmark = pytest.mark.heavy  # a browser is started

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>\u202e"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cases: two solved, one with another outcome; the texts of one are hostile."""
    rows = [
        row("one", ({"ann": "rrww", "bob": "rw??"}, {"ann": "rrrr", "bob": "rrww"})),
        row(f"two {HOSTILE}", question=HOSTILE, last_step=HOSTILE, gold=HOSTILE, context=HOSTILE),
        row("three", chosen="ab", outcome="depth"),
    ]
    folder = make_run(tmp_path_factory.mktemp("browser") / "run", rows)
    make_report(open_source(folder))
    return folder


@pytest.mark.parametrize("page_file", ["report/index.html", "report.html"])
def test_a_case_is_opened_and_its_tree_walked_by_keys(browser: Any, run: Path, page_file: str) -> None:
    with open_page(browser, file_address(run / page_file)) as seen:
        page = seen.page
        seen.wait_for("#overview h2", "MICS-Score by round")
        assert page.locator("img.chart").evaluate_all("all => all.every((one) => one.complete && one.naturalWidth > 0)")
        page.click("#go-cases")
        seen.wait_for("#list a", "one").click()
        seen.wait_for("#case-title", "Case one")
        assert page.locator(".picture img").evaluate("one => one.decode().then(() => one.naturalWidth)") == 60
        # The last chosen candidate is shown first.
        seen.wait_for(".node-panel h3", "Round 2, ann ★ chosen")
        page.keyboard.press("t")
        page.keyboard.press("ArrowUp")
        seen.wait_for(".node-panel h3", "Round 1, ann ★ chosen")
        page.keyboard.press("ArrowRight")
        seen.wait_for(".node-panel h3", "Round 1, bob")
        assert page.url.endswith("#case=one&node=1")
        assert page.locator(".vote .badge").all_inner_texts() == ["✓ right", "✕ wrong", "? unknown", "? unknown"]
        page.keyboard.press("n")
        seen.wait_for("#case-title", "Case two")
        assert page.locator(".facts .gold").inner_text() == HOSTILE.replace("\u202e", "\ufffd")
        page.keyboard.press("o")
        seen.wait_for("#case-title", "Case three")
        page.keyboard.press("p")
        seen.wait_for("#case-title", "Case two")
        page.keyboard.press("?")
        seen.wait_for("#help[open]")
        page.keyboard.press("Escape")
        assert page.locator("#help[open]").count() == 0
