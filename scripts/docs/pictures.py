"""Draw the pictures of the README, of docs/report.md and docs/review.md: screenshots of a demo. Run by `make pictures`.

``PYTHONPATH=. python scripts/docs/pictures.py [RUN]``; RUN is the folder of a finished demo, by default the newest.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mics_ray.errors import EXIT_OK, EXIT_REFUSED
from mics_ray.io.shards.reading import iter_rows
from mics_ray.review.report import make_report
from mics_ray.review.run_source import open_source
from tests.support.browser import CHROMIUM, file_address, open_page, start_browser
from tests.support.review_server import start_review

DOCS = Path(__file__).parents[2] / "docs"
SMALL = {"width": 420, "height": 900}
LARGE = {"width": 1360, "height": 900}


def main(argv: Sequence[str]) -> int:
    """Draw all pictures; returns the exit code."""
    runs = [Path(argv[0])] if argv else sorted(Path("runs").glob("demo-*"))
    if not runs or CHROMIUM is None:
        print("chromium is not installed: make browser" if runs else "no demo in runs/: make demo", file=sys.stderr)
        return EXIT_REFUSED
    run = runs[-1]
    make_report(open_source(run))
    page, case = file_address(run / "report/index.html"), f"#case={quote(find_case(run), safe='')}"
    folder = DOCS / "report"
    folder.mkdir(exist_ok=True)
    with start_browser() as browser:
        take(browser, page, folder / "overview.png", LARGE, "light", "#overview h2")
        take(browser, page + case, folder / "case.png", LARGE, "light", ".node-panel h3")
        take(browser, page + case, folder / "case_dark_narrow.png", SMALL, "dark", ".node-panel h3")
        take(
            browser,
            page + case,
            DOCS / "tree.png",
            {"width": 900, "height": 900},
            "light",
            ".node-panel h3",
            ".trees .card",
        )
        take_review(browser, run, DOCS / "review")
    return EXIT_OK


def take_review(browser: Any, run: Path, folder: Path) -> None:
    """Take screenshots of the page on which chains are marked; its marks go to a copy of the run."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / run.name
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("report*", "cache", "reviews"))
        with start_review(copy, "anna", "review.order=uncertainty") as server:
            with open_page(browser, server.address, viewport=LARGE, color_scheme="light") as seen:
                seen.wait_for("#review-place", "0 of")
                seen.page.keyboard.press("r")
                seen.wait_for("#review-place", "1 of")
                seen.page.keyboard.press("w")
                seen.wait_for("#review-place", "2 of")
                seen.page.keyboard.press("k")
                seen.page.keyboard.press("c")
                seen.page.keyboard.type("I see no ring there.")
                seen.page.keyboard.press("Escape")
                seen.wait_for("#said", "comment kept")
                seen.page.screenshot(path=folder / "page.png")
                address = seen.page.url
            take(browser, address, folder / "page_dark_narrow.png", SMALL, "dark", "#review-place")
    print(folder / "page.png")


def find_case(run: Path) -> str:
    """The solved case of the most rounds, the first of them: its tree shows the most."""
    rows = [row for row in iter_rows(run / "results", ["case_id", "outcome", "rounds"]) if row["outcome"] == "solved"]
    return str(max(rows, key=lambda row: row["rounds"])["case_id"])


def take(
    browser: Any, address: str, path: Path, size: dict[str, int], scheme: str, shown: str, element: str | None = None
) -> None:
    """Take a screenshot of the page, or of one element, once ``shown`` is there."""
    with open_page(browser, address, viewport=size, color_scheme=scheme) as seen:
        seen.wait_for(shown)
        seen.page.wait_for_load_state("networkidle")
        (seen.page.locator(element).first if element else seen.page).screenshot(path=path)
    print(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
