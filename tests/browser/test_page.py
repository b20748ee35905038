"""The report's page in a browser: links, list, pictures, comparison, rules of accessibility, large runs."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mics_ray.review.report import make_report
from mics_ray.review.run_source import open_source
from tests.support.browser import (
    NARROW,
    WIDE,
    file_address,
    list_violations,
    measure_change_ms,
    measure_first_paint_ms,
    open_page,
    wait_for_list,
)
from tests.support.large_run import make_large_run
from tests.support.run_folders import make_run, row

pytestmark = pytest.mark.browser

ODD = "ß/ü & #2?=%41+x"


def make_rows() -> list[dict[str, Any]]:
    """Two attempts, a failed mentor, leaks, an odd id, a case without a search, one without pictures."""
    twice = row("twice", ({"ann": "wwww", "bob": "wwww"},), "a", "dead_end") | {
        "steps": [],
        "reasoning": "",
        "attempts": 2,
    }
    twice["nodes"] += [node | {"attempt": 2, "id": node["id"] + 2, "leaks": ["answer"]} for node in twice["nodes"]]
    lost = row("lost")
    lost["nodes"][1] |= {"failure": "timeout: no reply in 300 s", "score": None, "votes": [], "steps": [], "step": ""}
    none = {"outcome": "rejected", "nodes": [], "mentors": [], "steps": [], "images": [], "reason": "no question"}
    return [
        row("first", images=("a.png", "gone.png.jpg")),
        twice,
        lost,
        row(ODD, context="Complaint: pain"),
        row("none") | none,
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five cases with its report."""
    folder = make_run(tmp_path_factory.mktemp("page") / "run", make_rows())
    (folder / "logs").mkdir()
    times = (f'{{"time": "2026-11-25T0{hour}:00:00Z", "outcome": "solved"}}\n' for hour in range(6))
    (folder / "logs/cases.jsonl").write_text("".join(times))
    make_report(open_source(folder))
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cases beside a run in which one ended otherwise and one is not there."""
    folder = tmp_path_factory.mktemp("compared")
    this = make_run(folder / "this", make_rows())
    make_report(
        open_source(this),
        open_source(
            make_run(
                folder / "that",
                [row("first", chosen="ab", outcome="depth", images=("a.png", "gone.png.jpg")), row("lost")],
            )
        ),
    )
    return this


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The folder on loopback, as a local page would serve it."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_deep_link_opens_the_case_and_the_candidate(browser: Any, run: Path) -> None:
    link = f"{file_address(run / 'report/index.html')}#case={quote(ODD, safe='')}&node=3"
    with open_page(browser, link) as seen:
        seen.wait_for("#case-title", ODD)
        seen.wait_for(".node-panel h3", "Round 2, bob")
        assert seen.page.locator('[role="treeitem"][aria-selected="true"]').count() == 1
        # Its own address, made by a choice, leads there again.
        seen.page.locator('[role="treeitem"]').first.click()
        again = seen.page.url
        seen.wait_for(".node-panel h3", "Round 1, ann")
    with open_page(browser, again) as seen:
        seen.wait_for(".node-panel h3", "Round 1, ann")
        seen.wait_for("#case-title", ODD)


def test_a_link_to_no_case_says_so(browser: Any, run: Path) -> None:
    with open_page(browser, f"{file_address(run / 'report/index.html')}#case=nobody") as seen:
        seen.wait_for("#case .warnings", "There is no case nobody in this run")


def test_the_same_files_work_from_a_server(browser: Any, run: Path) -> None:
    with serve(run / "report") as address, open_page(browser, f"{address}/index.html#case=lost&node=1") as seen:
        seen.wait_for(".node-panel .failure", "timeout")


def test_the_list_is_searched_filtered_sorted(browser: Any, run: Path) -> None:
    with open_page(browser, f"{file_address(run / 'report/index.html')}#cases") as seen:
        page = seen.page
        seen.wait_for("#list tbody tr")
        assert page.locator("#list tbody tr").count() == 5
        page.keyboard.press("/")
        page.keyboard.type("twi")
        seen.wait_for(".pages", "1 cases")
        page.fill("#search", "")
        page.select_option("#list select", "rejected")
        seen.wait_for(".pages", "1 cases")
        assert page.locator("#list tbody th").all_inner_texts() == ["none"]
        page.select_option("#list select", "")
        page.click("#list thead button >> text=Case")
        page.click("#list thead button >> text=Case")
        seen.wait_for('#list th[aria-sort="descending"]')
        assert page.locator("#list tbody th").all_inner_texts() == sorted(
            ["first", "twice", "lost", ODD, "none"], reverse=True
        )


def test_pictures_open_in_full_and_missing_ones_are_named(browser: Any, run: Path) -> None:
    with open_page(browser, f"{file_address(run / 'report/index.html')}#case=first") as seen:
        seen.wait_for(".no-picture", "gone.png.jpg")
        seen.wait_for(".picture").click()
        seen.wait_for("#picture[open] img")
        seen.page.click("#picture button")
        assert seen.page.locator("#picture[open]").count() == 0


def test_a_missing_file_is_said_and_not_a_blank_page(browser: Any, run: Path, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", make_rows())
    make_report(open_source(folder))
    (folder / "report/data/cases/a/0.js").unlink()
    with open_page(browser, f"{file_address(folder / 'report/index.html')}#case=first", silent=False) as seen:
        seen.wait_for("#case .warnings", "keep the files beside the page")


def test_two_runs_side_by_side(browser: Any, compared: Path) -> None:
    with open_page(browser, file_address(compared / "report.html")) as seen:
        page = seen.page
        seen.wait_for("h2", "that against this")
        page.click("#go-cases")
        page.select_option("#list select", "differs")
        seen.wait_for(".pages", "1 cases")
        seen.wait_for("#list a", "first").click()
        seen.wait_for(".beside .side:nth-child(2) .badge", "depth")
        page.locator(".side:nth-child(2) [role=treeitem]").first.click()
        assert page.url.endswith("node=b0")
        seen.wait_for(".side:nth-child(2) .node-panel h3", "Round 1, ann")


GROUND = "getComputedStyle(document.documentElement).backgroundColor"


def test_dark_and_light_are_the_systems_or_the_readers(browser: Any, run: Path) -> None:
    with open_page(browser, file_address(run / "report/index.html"), color_scheme="light") as seen:
        light = seen.page.evaluate(GROUND)
        seen.page.emulate_media(color_scheme="dark")
        dark = seen.page.evaluate(GROUND)
        assert dark != light
        seen.page.click("#theme")
        assert seen.page.evaluate(GROUND) == light
        seen.page.reload()
        assert seen.page.evaluate(GROUND) == light
        seen.page.click("#theme")
        assert seen.page.evaluate(GROUND) == dark


def test_a_table_is_sorted_and_a_long_one_searched(browser: Any, run: Path) -> None:
    with open_page(browser, file_address(run / "report/index.html")) as seen:
        page = seen.page
        page.click("#chart-intern_rates summary")
        page.click("#chart-intern_rates thead button >> nth=0")
        page.click("#chart-intern_rates thead button >> nth=0")
        first = page.locator("#chart-intern_rates tbody th").all_inner_texts()
        assert first == sorted(first, reverse=True)
        assert page.locator("#chart-intern_rates input").count() == 0
        page.click("#chart-outcomes summary")
        page.fill("#chart-outcomes input", "2.5")
        seen.wait_for("#chart-outcomes tbody tr:not([hidden])")
        assert page.locator("#chart-outcomes tbody tr:not([hidden]) th").all_inner_texts() == ["2.5"]


INTRUDE = """async () => {
  const script = document.createElement("script");
  script.textContent = "window.ran = true";
  document.body.append(script);
  setTimeout("window.ran = true", 0);
  const asked = await fetch("http://127.0.0.1:9/").catch(() => "refused");
  await new Promise((next) => setTimeout(next, 50));
  return [window.ran === undefined, asked];
}"""


@pytest.mark.parametrize("page_file", ["report/index.html", "report.html"])
def test_the_policy_of_the_page_stops_what_is_not_its_own(browser: Any, run: Path, page_file: str) -> None:
    """Were a text ever taken for markup, it could run nothing and tell nobody."""
    with open_page(browser, file_address(run / page_file), silent=False) as seen:
        assert seen.page.evaluate(INTRUDE) == [True, "refused"]
        assert sum("Content Security Policy" in error for error in seen.errors) >= 3


def test_without_scripts_the_charts_are_there(browser: Any, run: Path) -> None:
    with open_page(browser, file_address(run / "report/index.html"), java_script_enabled=False) as seen:
        seen.wait_for("noscript p")
        seen.wait_for("#overview h2", "Quality and its reasons")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("hash_", ["", "#cases", "#case=first&node=1", "#case=twice", "#case=none"])
def test_the_rules_of_accessibility_hold(
    browser: Any, compared: Path, run: Path, hash_: str, scheme: str, size: dict[str, int]
) -> None:
    for folder in (run, compared):
        with open_page(
            browser, file_address(folder / "report/index.html") + hash_, color_scheme=scheme, viewport=size
        ) as seen:
            seen.wait_for("#case-title" if "=" in hash_ else "#list tr" if hash_ else "#overview h2")
            assert list_violations(seen.page) == []
            # Nothing is wider than the window: the page itself never scrolls sideways.
            assert seen.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_help_is_accessible_too(browser: Any, run: Path) -> None:
    with open_page(browser, file_address(run / "report/index.html")) as seen:
        seen.page.click("#help-open")
        seen.wait_for("#help[open]")
        assert list_violations(seen.page) == []


@pytest.mark.parametrize("cases", [1_000, 100_000])
def test_a_large_run_pages_without_lag(browser: Any, tmp_path: Path, cases: int) -> None:
    """The bounds are loose, for machines that do other things; the figures are printed (benchmarks/report_page.py)."""
    folder = make_large_run(tmp_path / "run", cases)
    make_report(open_source(folder))
    with open_page(browser, f"{file_address(folder / 'report/index.html')}#cases") as seen:
        seen.wait_for("#list tbody tr")
        paint = measure_first_paint_ms(seen.page)
        seen.wait_for(".pages", f"{cases:,} cases")
        wait_for_list(seen.page)
        changes = [measure_change_ms(seen.page, f"case-{cases * at // 10}") for at in range(1, 10)]
        print(
            f"{cases} cases: first paint {paint:.0f} ms, case changes {', '.join(f'{one:.0f}' for one in changes)} ms"
        )
        assert paint < 10_000
        assert sorted(changes)[len(changes) // 2] < 1_000
        seen.page.fill("#search", f"film {cases - 1} ")
        seen.wait_for(".pages", " 1 cases")
