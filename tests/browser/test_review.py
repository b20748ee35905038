"""Review by people in a browser: five cases by keys with a kill of the server in between, two windows, hostile text."""

from pathlib import Path
from typing import Any

import pytest

from mics_ray.review.marks.reviewers import find_file
from mics_ray.review.marks.store import read_marks
from tests.support.browser import NARROW, WIDE, list_violations, open_page
from tests.support.review_server import start_review
from tests.support.run_folders import make_run, row

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>\u202e"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Five kept chains of three steps each, the texts of one hostile, and a case without a chain."""
    rows = [row(f"case-{at}", context="Complaint: pain") for at in range(4)]
    rows.append(row(f"odd {HOSTILE}", question=HOSTILE, last_step=HOSTILE, gold=HOSTILE))
    return make_run(tmp_path / "run", [*rows, row("end", outcome="dead_end") | {"steps": []}])


def standing(run: Path, reviewer: str = "ann") -> dict[tuple[str, int | None], tuple[str | None, str]]:
    """What stands in a reviewer's file, by case and step."""
    book = read_marks(find_file(run, reviewer)).book
    return {(mark.case_id, mark.step): (mark.verdict, mark.comment) for mark in book.current.values()}


def test_five_cases_are_reviewed_by_keys_with_a_kill_of_the_server_in_between(browser: Any, run: Path) -> None:
    titles = []
    with start_review(run) as server, open_page(browser, server.address, silent=False) as seen:
        press = seen.page.keyboard.press
        for done in range(2):
            seen.wait_for("#review-place", f"{done} of 5 chains done")
            titles.append(seen.page.inner_text("#case-title bdi"))
            for key in "rwua":
                press(key)
            seen.wait_for("#review-place", f"{done + 1} of 5 chains done")
        seen.wait_for("#review-place", "0 of 3 steps marked here. 2 of 5")
        press("r")
        seen.wait_for("#review-place", "1 of 3")
        titles.append(seen.page.inner_text("#case-title bdi"))
        assert seen.errors == []
        server.kill()
        # Nothing is taken for kept that is not.
        press("w")
        seen.wait_for("#review-warning", f"NOT KEPT (case {titles[2]}): the review program does not answer")
        seen.wait_for("#review-place", "1 of 3 steps marked here. 2 of 5")
    with start_review(run) as server, open_page(browser, server.address) as seen:
        # It goes on at the step after the last one that was kept.
        seen.wait_for("#case-title", titles[2])
        seen.wait_for("#review-place", "1 of 3 steps marked here. 2 of 5")
        seen.wait_for('.mark-item[aria-current="step"][data-step="2"]')
        assert list_violations(seen.page) == []
        for key in "wra":
            seen.page.keyboard.press(key)
        for done in (3, 4):
            seen.wait_for("#review-place", f"0 of 3 steps marked here. {done} of 5")
            titles.append(seen.page.inner_text("#case-title bdi"))
            for key in "rrrx":
                seen.page.keyboard.press(key)
        seen.wait_for("#done", "5 of 5 chains done. Thank you")
        assert server.stop() == 0
        assert "5 of 5 chains done; the same command goes on" in server.told
        assert len(set(titles)) == 5
    found = standing(run)
    assert len(found) == 20
    assert [found[titles[2], step][0] for step in (1, 2, 3, None)] == ["right", "wrong", "right", "accept"]
    assert not list((run / "reviews").glob(".*.page"))


def test_comments_and_undoing(browser: Any, run: Path) -> None:
    with start_review(run) as server, open_page(browser, server.address) as seen:
        page = seen.page
        seen.wait_for("#review-place", "0 of 3")
        title = page.inner_text("#case-title bdi")
        page.keyboard.press("w")
        seen.wait_for("#review-place", "1 of 3")
        page.keyboard.press("k")
        page.keyboard.press("c")
        page.keyboard.type("not <b>left</b>, a r w x")
        page.keyboard.press("Escape")
        seen.wait_for("#said", "comment kept")
        assert standing(run)[title, 1] == ("wrong", "not <b>left</b>, a r w x")
        page.keyboard.press("z")
        seen.wait_for("#said", "undone")
        assert standing(run)[title, 1] == ("wrong", "")
        page.keyboard.press("z")
        seen.wait_for("#review-place", "0 of 3")
        page.keyboard.press("z")
        seen.wait_for("#said", "nothing to undo")
        # By the mouse.
        page.click('.mark-item[data-step="3"] button[data-verdict="unsure"]')
        seen.wait_for('.mark-item[data-step="3"] button[data-verdict="unsure"][aria-pressed="true"]')
        assert standing(run)[title, 3] == ("unsure", "")


def test_a_comment_is_kept_where_one_goes_on_without_leaving_it(browser: Any, run: Path) -> None:
    """And where it cannot be kept it is there again when one comes back."""
    with start_review(run) as server, open_page(browser, server.address, silent=False) as seen:
        page, comment = seen.page, '.mark-item[data-step="1"] textarea'
        seen.wait_for("#review-place", "0 of 3")
        title = page.inner_text("#case-title bdi")
        page.keyboard.press("c")
        page.keyboard.type("on the way")
        page.click(".controls button:has-text('Next n')")
        seen.wait_for("#place", "2 of 5")
        assert not page.locator("#review-warning").is_visible()
        assert standing(run)[title, 1] == (None, "on the way")
        page.keyboard.press("c")
        page.route("**/api/mark", lambda route: route.abort())
        page.keyboard.type("in the dark")
        page.keyboard.press("Escape")
        seen.wait_for("#review-warning", "NOT KEPT")
        page.click(".controls button:has-text('Next n')")
        seen.wait_for("#place", "3 of 5")
        assert page.locator("#review-warning").is_visible()
        page.unroute("**/api/mark")
        page.go_back()
        seen.wait_for("#place", "2 of 5")
        assert page.locator(comment).input_value() == "in the dark"
        page.locator(comment).focus()
        page.keyboard.press("Escape")
        seen.wait_for("#said", "comment kept")
        assert not page.locator("#review-warning").is_visible()
        assert sorted(said for _, said in standing(run).values()) == ["in the dark", "on the way"]


def test_two_windows_of_a_reviewer_do_not_overwrite_each_other_unseen(browser: Any, run: Path) -> None:
    with start_review(run) as server, open_page(browser, server.address, silent=False) as one:
        one.wait_for("#review-place", "0 of 3")
        with open_page(browser, one.page.url, silent=False, home=server.address) as other:
            other.wait_for("#review-place", "0 of 3")
            other.page.keyboard.press("w")
            other.wait_for("#review-place", "1 of 3")
            one.page.click('.mark-item[data-step="1"] button[data-verdict="right"]')
            one.wait_for(
                '.mark-item[data-step="1"] .failure', "another window of yours has marked this meanwhile (wrong)"
            )
            one.wait_for('.mark-item[data-step="1"] button[data-verdict="wrong"][aria-pressed="true"]')
            title = one.page.inner_text("#case-title bdi")
            assert standing(run)[title, 1] == ("wrong", "")
            # Knowing it, the last writer wins.
            one.page.click('.mark-item[data-step="1"] button[data-verdict="right"]')
            one.wait_for('.mark-item[data-step="1"] button[data-verdict="right"][aria-pressed="true"]')
            assert standing(run)[title, 1] == ("right", "")


def test_two_reviewers_have_the_same_chains_and_see_their_own_marks(browser: Any, run: Path) -> None:
    with start_review(run) as first, open_page(browser, first.address) as seen:
        seen.wait_for("#review-place", "0 of 3")
        title = seen.page.inner_text("#case-title bdi")
        seen.page.keyboard.press("w")
        seen.wait_for("#review-place", "1 of 3")
        with start_review(run, "bob") as second, open_page(browser, second.address) as other:
            other.wait_for("#review-place", "0 of 3 steps marked here. 0 of 5")
            assert other.page.inner_text("#case-title bdi") == title


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_rules_of_accessibility_hold(browser: Any, run: Path, scheme: str, size: dict[str, int]) -> None:
    """Of the chain with its search open, of the list, of the words about it; no text is taken for markup."""
    with start_review(run) as server:
        for hash_, shown in (("#cases", "#list tbody tr"), ("#overview", "#done"), ("", "#review-place")):
            with open_page(browser, server.address + hash_, color_scheme=scheme, viewport=size) as seen:
                seen.wait_for(shown)
                if not hash_:
                    seen.page.keyboard.press("c")
                    seen.page.keyboard.press("Escape")
                    seen.page.keyboard.press("s")
                    seen.wait_for("details.search[open] .node-panel h3")
                assert list_violations(seen.page) == []
                assert seen.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
