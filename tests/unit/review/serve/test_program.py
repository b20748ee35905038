"""`mics review` as a program: killed while marks come in, started again, refused twice, ended by Ctrl-C."""

import json
import threading
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from mics_ray.review.marks.chain import list_targets
from mics_ray.review.marks.reviewers import find_file, list_reviewers
from mics_ray.review.marks.store import read_marks
from tests.support.review_server import ReviewServer, start_review
from tests.support.run_folders import make_run, row

pytestmark = pytest.mark.heavy

ROWS = [row(f"case-{at}", images=()) for at in range(6)]


def post(server: ReviewServer, case_id: str, step: int | None, verdict: str) -> None:
    """Set a mark as the page does; raises where it is not answered for."""
    origin = server.address[: server.address.index("/", len("http://"))]
    body = {"case_id": case_id, "step": step, "verdict": verdict, "comment": "", "answers": 0}
    headers = {"Content-Type": "application/json", "Origin": origin}
    with urlopen(Request(f"{server.address}api/mark", json.dumps(body).encode(), headers), timeout=30) as answer:
        assert answer.status == 200


def test_a_killed_server_loses_no_mark_that_it_answered_for(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ROWS)
    left = [(target, "right" if target.step else "accept") for one in ROWS for target in list_targets(one)]
    told: list[tuple[str, int | None]] = []
    for kill_after in (1, 6, None):
        with start_review(run) as server:
            ready = threading.Event()

            def mark_all(
                server: ReviewServer = server, ready: threading.Event = ready, most: int | None = kill_after
            ) -> None:
                began = len(told)
                for target, verdict in left:
                    try:
                        post(server, target.case_id, target.step, verdict)
                    except (URLError, HTTPException, OSError):
                        break
                    if (target.case_id, target.step) not in told:
                        told.append((target.case_id, target.step))
                    if most is not None and len(told) >= began + most:
                        ready.set()
                ready.set()

            thread = threading.Thread(target=mark_all)
            thread.start()
            assert ready.wait(120)
            if kill_after is None:
                thread.join()
                assert server.stop() == 0
                assert "6 of 6 chains done" in server.told
            else:
                server.kill()
                thread.join()
        kept = {(mark.case_id, mark.step) for mark in read_marks(find_file(run, "ann")).book.current.values()}
        assert set(told) <= kept
    assert len(read_marks(find_file(run, "ann")).book.marks) == len(left)


def test_a_second_server_of_a_reviewer_is_refused_and_anothers_is_not(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ROWS)
    with start_review(run):
        with pytest.raises(RuntimeError, match="reviewer ann has a review"), start_review(run):
            pass
        with start_review(run, "bob") as other:
            post(other, "case-1", None, "reject")
            assert other.stop() == 0
    assert not find_file(run, "ann").exists()
    assert list_reviewers(run) == ["bob"]
