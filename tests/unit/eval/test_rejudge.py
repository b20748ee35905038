"""Another judge over recorded answers: kappa by hand, flips, steps chosen otherwise, and the whole program."""

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eval.commands import run_rejudge
from eval.rejudge.account import Account, Said
from eval.rejudge.agreement import measure_agreement, tabulate_verdicts
from eval.rejudge.run_rules import COLUMNS, list_answers, read_rules, replace_verdicts
from mics_ray.config.compose import compose_config, dump_yaml
from mics_ray.core.mics import Mics
from mics_ray.core.search import SearchResult
from mics_ray.core.seeds import derive_seed
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Case, Continuation, Failure, Outcome, Quality, Verdict, Vote
from mics_ray.errors import EXIT_OK, EXIT_REFUSED, EXIT_STOPPED
from mics_ray.io.rows import Stamp, read_trees, result_row
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.io.shards.store import ShardStore
from mics_ray.models.replies.ledger import LEDGER_FILE, read_spent_usd
from tests.support.damage import flip
from tests.support.faulty_provider import FaultyProvider
from tests.support.field_provider import FILTERS, FieldProvider
from tests.support.program import run_here

ROOT = Path(__file__).resolve().parents[3]
RIGHT, WRONG, UNKNOWN = Verdict.RIGHT, Verdict.WRONG, Verdict.UNKNOWN
POLICY = Mics(("a", "b"))
SEED = 7


def votes(*answers: str) -> tuple[Vote, ...]:
    """Recorded votes: the run's judge takes only ``gold`` for right; an empty answer is a lost call."""
    return tuple(
        Vote("i", 0.3, "text", answer, RIGHT if answer == "gold" else WRONG, "said")
        if answer
        else Vote("i", 0.3, failure=Failure("timeout", "after 300 s"))
        for answer in answers
    )


def node(number: int, parent: int | None, mentor: str, *answers: str) -> Node:
    rest = Continuation(("later",), "end")
    return Node(number, parent, 1 if parent is None else 2, mentor, (f"s{number}",), rest, votes(*answers))


TREE = SearchTree(
    "c1",
    derive_seed(SEED, 1),
    (
        node(0, None, "a", "gold", "other"),
        node(1, None, "b", "swap", "swap"),
        node(2, 0, "a", "gold", "gold"),
        node(3, 0, "b", "bad", "bad", ""),
    ),
)
DEAD = SearchTree("c1", derive_seed(SEED, 0), (node(0, None, "a", "bad"), node(1, None, "b", "bad")))
RESULT = SearchResult(
    Case("c1", "What is it?", "gold"), Outcome.SOLVED, "why", Quality.KEEP,
    Continuation(("s0", "s2", "later"), "end"), 2, (DEAD, TREE),
)  # fmt: skip
OTHER = {"gold": WRONG, "other": WRONG, "swap": RIGHT, "bad": WRONG}
"""What the other judge says: it takes only ``swap`` for right."""


def make_run(folder: Path) -> Path:
    ShardStore(folder / "results").commit([result_row(RESULT, {}, 1.0, Stamp(SEED, "digest", "1"))])
    (folder / "config.yaml").write_text(dump_yaml(compose_config(["experiment=demo", f"run.dir={folder}"])))
    return folder


def test_kappa_and_its_interval_by_hand() -> None:
    # 20, 5, 10 and 15 answers of a case each: p = 0.5, q = 0.6, equal 0.7, by chance 0.5: kappa 0.4. With half a case
    # more in each cell p = 0.5, q = 31/52, equal 36/52, centre 5/13; the delta method's variance of that table is
    # that of statsmodels' cohens_kappa, whose root is 0.125618, times 52/51; t(49) = 2.00958.
    found = measure_agreement(Counter({(1, 0, 0, 0): 20, (0, 1, 0, 0): 5, (0, 0, 1, 0): 10, (0, 0, 0, 1): 15}))
    assert (found.answers, found.cases, found.equal) == (50, 50, 0.7)
    assert found.kappa == pytest.approx(0.4)
    half = 2.00958 * 0.125618 * (52 / 51) ** 0.5
    assert (found.low, found.high) == (pytest.approx(5 / 13 - half, abs=1e-4), pytest.approx(5 / 13 + half, abs=1e-4))


def test_a_few_answers_on_which_judges_agree_prove_little() -> None:
    """Two: anything may be. Ten, five of either verdict: cells 5.5 0.5 0.5 5.5, kappa 5/6 with statsmodels' error
    0.15957, times sqrt(12/11); t(9) = 2.26216."""
    two = measure_agreement(Counter({(1, 0, 0, 0): 1, (0, 0, 0, 1): 1}))
    assert (two.kappa, two.low, two.high) == (1.0, -1.0, 1.0)
    ten = measure_agreement(Counter({(1, 0, 0, 0): 5, (0, 0, 0, 1): 5}))
    assert (ten.kappa, ten.high) == (1.0, 1.0)
    assert ten.low == pytest.approx(5 / 6 - 2.262157 * 0.15957 * (12 / 11) ** 0.5, abs=1e-4)
    never = measure_agreement(Counter({(0, 1, 0, 0): 5, (0, 0, 1, 0): 5}))
    assert (never.kappa, never.low) == (-1.0, -1.0)
    assert never.high == pytest.approx(-ten.low)


def test_one_case_has_no_interval_and_a_reason() -> None:
    one = measure_agreement(Counter({(2, 1, 0, 2): 1}))
    assert (one.kappa, one.low, one.high) == (pytest.approx(8 / 13), None, None)
    assert one.interval == "none: one case alone says nothing of others"


def test_answers_of_one_case_widen_the_interval() -> None:
    alone = measure_agreement(Counter({(1, 0, 0, 0): 20, (0, 1, 0, 0): 5, (0, 0, 1, 0): 10, (0, 0, 0, 1): 15}))
    alike = measure_agreement(Counter({(5, 0, 0, 0): 4, (0, 5, 0, 0): 1, (0, 0, 5, 0): 2, (0, 0, 0, 5): 3}))
    assert alike.kappa == pytest.approx(alone.kappa)
    assert alone.low is not None
    assert alike.low is not None
    assert alike.low < alone.low


def test_unknown_verdicts_and_judges_that_never_vary_have_no_kappa() -> None:
    assert tabulate_verdicts([(RIGHT, UNKNOWN), (UNKNOWN, WRONG), (RIGHT, WRONG)]) == (0, 1, 0, 0)
    assert measure_agreement(Counter({(0, 0, 0, 0): 3})).answers == 0
    same = measure_agreement(Counter({(2, 0, 0, 0): 3}))
    assert (same.equal, same.kappa, same.low) == (1.0, None, None)
    assert same.interval == "none: both judges gave but one verdict"


def test_the_trees_of_a_row_are_those_of_the_search(tmp_path: Path) -> None:
    (row,) = iter_rows(make_run(tmp_path) / "results", COLUMNS)
    found = read_trees(row)
    assert [(tree.case_id, tree.seed) for tree in found] == [("c1", DEAD.seed), ("c1", TREE.seed)]
    for tree, wanted in zip(found, (DEAD, TREE), strict=True):
        for one, other in zip(tree.nodes, wanted.nodes, strict=True):
            assert (one.id, one.parent, one.round, one.mentor, one.steps) == (
                other.id, other.parent, other.round, other.mentor, other.steps
            )  # fmt: skip
            assert one.votes == other.votes
    assert read_rules(tmp_path).judge == "simulated-judge-terms"


def test_flips_and_steps_that_would_be_chosen_otherwise() -> None:
    account = Account(POLICY)
    rows = account.count_case("c1", [DEAD, TREE], {answer: Said(said, "r") for answer, said in OTHER.items()})
    report = account.as_json()
    assert len(rows) == report["votes"] == 10  # a vote without an answer is nothing to judge
    assert report["flips"] == {
        "right_to_wrong": {"votes": 3, "cases": ["c1"]},
        "wrong_to_right": {"votes": 2, "cases": ["c1"]},
    }
    # gold: right, wrong; swap: wrong, right; other and bad: wrong, wrong. p = q = 1/4, by chance 5/8, equal 1/2.
    assert report["agreement"]["kappa"] == pytest.approx(-1 / 3)
    assert (report["rounds"], report["changed_rounds"], report["changed_cases"], report["other_step"]) == (3, 2, 1, 1)
    first, second = report["changed"]
    assert (first["attempt"], first["round"]) == (2, 1)
    assert (first["from_mentor"], first["from_end"], first["to_mentor"], first["to_end"]) == ("a", "", "b", "solved")
    assert (second["from_end"], second["to"], second["to_end"]) == ("solved", None, "dead_end")


def test_a_vote_without_an_answer_keeps_its_verdict() -> None:
    """Wrong where the text came to no answer, unknown where the call was lost, right where the answer was matched with
    the gold answer: no judge was asked about any of them."""
    votes = (
        Vote("x", 0.3, "Hm.", verdict=WRONG), Vote("x", 1.2), Vote("y", 0.3, "t", "gold", RIGHT, "Yes"),
        Vote("y", 1.2, "t", "Gold.", RIGHT),
    )  # fmt: skip
    tree = SearchTree("c1", 1, (Node(0, None, 1, "a", ("Look.",), votes=votes),))
    assert list_answers([tree]) == ["gold"]
    replaced = replace_verdicts(tree, {"gold": WRONG}).nodes[0].votes
    assert [vote.verdict for vote in replaced] == [WRONG, UNKNOWN, WRONG, RIGHT]


def test_a_round_that_votes_would_decide_which_the_run_did_not_ask_for_is_open() -> None:
    """By the run's verdicts b could not win any more; by the other judge's it could."""
    unasked = (Vote("i", 0.3, verdict=Verdict.UNASKED),) * 2
    first = node(0, None, "a", "gold", "gold", "gold", "other")
    second = node(1, None, "b", "other", "swap")
    level = (first, replace(second, votes=second.votes + unasked))
    account, same = Account(POLICY), {"gold": Said(RIGHT, "r"), "other": Said(WRONG, "r"), "swap": Said(WRONG, "r")}
    account.count_case("c1", [SearchTree("c1", 1, level)], same)
    assert (account.undecided, account.changed, account.votes) == (0, [], 6)
    account.count_case("c1", [SearchTree("c1", 1, level)], same | {"swap": Said(RIGHT, "r")})
    assert (account.undecided, account.changed) == (1, [])
    assert account.as_json()["undecided"] == 1


def test_the_same_verdicts_change_nothing() -> None:
    account = Account(POLICY)
    account.count_case(
        "c1", [DEAD, TREE], {answer: Said(RIGHT if answer == "gold" else WRONG, "r") for answer in OTHER}
    )
    report = account.as_json()
    assert (report["flips"], report["changed"], report["not_reproduced"]) == ({}, [], 0)
    assert report["agreement"]["kappa"] == 1


class Judge(ThreadingHTTPServer):
    """The other judge on loopback. ``open`` lets answers out; ``asked`` counts, the probe left out."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.open, self.first, self.asked = threading.Event(), threading.Event(), 0
        self.open.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        prompt = prompt if isinstance(prompt, str) else prompt[-1]["text"]
        if "## " in prompt:
            server.asked += 1
            server.first.set()
            server.open.wait(30)
        text = "Yes" if prompt.endswith("swap") else "No"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def judge() -> Iterator[Judge]:
    with Judge() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def arguments(tmp_path: Path, url: str, *more: str) -> list[str]:
    block = {"model": "other-judge", "base_url": url, "max_in_flight": 1}
    (tmp_path / "conf/judge").mkdir(parents=True, exist_ok=True)
    (tmp_path / "conf/judge/other.yaml").write_text(json.dumps(block))
    return ["--config-dir", str(tmp_path / "conf"), f"run.dir={tmp_path / 'run'}", "judge=other", *more]


def command(tmp_path: Path, url: str) -> list[str]:
    """The program as a process of its own, for a test that sends it a signal."""
    return [sys.executable, str(ROOT / "scripts/rejudge.py"), *arguments(tmp_path, url)]


@pytest.mark.heavy
def test_a_stopped_program_goes_on_and_pays_for_nothing_twice(tmp_path: Path, judge: Judge) -> None:
    make_run(tmp_path / "run")
    judge.open.clear()
    program = subprocess.Popen(command(tmp_path, judge.url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert judge.first.wait(60)
    program.send_signal(signal.SIGINT)
    judge.open.set()
    told = program.communicate(timeout=60)
    assert program.returncode == EXIT_STOPPED, told
    folder = tmp_path / "run/rejudge/other"
    assert {path.name.partition("-")[0] for path in folder.iterdir()} == {LEDGER_FILE}, "a part is no result"
    again = run_here(run_rejudge, *arguments(tmp_path, judge.url))
    assert again.returncode == EXIT_OK, again.stderr
    assert judge.asked == len(OTHER)
    report = json.loads((folder / "report.json").read_text())
    assert report["agreement"]["kappa"] == pytest.approx(-1 / 3)
    assert (report["changed_rounds"], report["judge"]) == (2, "other-judge")
    assert 1 <= report["usage"]["cached_calls"] < len(OTHER)
    assert len(pq.read_table(folder / "verdicts.parquet")) == 10
    assert "would be" in (folder / "report.md").read_text()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.heavy
def test_the_judge_s_bill_stays_within_the_budget_and_a_larger_one_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for number in range(10):
        case, tree = Case(f"c{number}", f"What is it, number {number}?", "gold"), replace(TREE, case_id=f"c{number}")
        results.append(result_row(replace(RESULT, case=case, attempts=(tree,)), {}, 1.0, Stamp(SEED, "digest", "1")))
    run, folder = make_run(tmp_path / "run"), tmp_path / "run/rejudge/other"
    list_shards(run / "results")[0].unlink()
    ShardStore(run / "results").commit(results)
    budget, most = 2.5, 1.0  # the whole bill is 2.9, and `most` more than one call can cost
    with FaultyProvider(price=(1000.0, 1000.0), rates={"null_content": 0.15}) as provider:
        given = [
            "judge.model=judge-0",
            "judge.max_tokens=64",
            "judge.price={input_per_mtok: 1000, output_per_mtok: 1000}",
        ]
        start = arguments(tmp_path, provider.url, *given)
        assert run_rejudge([*start, f"budget_usd={budget}"]) == EXIT_STOPPED
        stopped = capsys.readouterr().err
        assert "the same command with more budget_usd goes on" in stopped
        assert 0 < provider.bill_usd <= read_spent_usd(folder) <= budget < read_spent_usd(folder) + most
        assert f"spent ${read_spent_usd(folder):.4f} of budget_usd=2.5" in stopped
        assert not (folder / "verdicts.parquet").exists()
        calls = len(provider.times)

        assert run_rejudge([*start, f"budget_usd={100 * budget}"]) == EXIT_OK
    assert 0 < calls < len(provider.times)
    assert provider.injected["null_content"]
    assert provider.repaid() == 0
    assert budget < provider.bill_usd <= read_spent_usd(folder)
    report = json.loads((folder / "report.json").read_text())
    assert report["spent_usd"] == read_spent_usd(folder)
    assert f"${report['spent_usd']:.4f} spent in all" in (folder / "report.md").read_text()
    assert report["cases"] == 10


def test_a_budget_over_a_judge_behind_a_key_without_a_price_is_refused(
    tmp_path: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run")
    monkeypatch.setenv("JUDGE_KEY", "canary")
    start = arguments(tmp_path, judge.url, "judge.api_key_env=JUDGE_KEY", "budget_usd=1")
    assert run_rejudge(start) == EXIT_REFUSED
    assert "budget_usd cannot count its calls" in capsys.readouterr().err
    assert judge.asked == 0


def test_without_its_key_nothing_is_asked(tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "run")
    assert run_rejudge(arguments(tmp_path, judge.url, "judge.api_key_env=NOT_SET_ANYWHERE")) == EXIT_REFUSED
    assert "NOT_SET_ANYWHERE is not set" in capsys.readouterr().err
    assert judge.asked == 0
    assert not (tmp_path / "run/rejudge").exists()


def test_a_damaged_shard_is_found_before_anything_is_asked(
    tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(list_shards(make_run(tmp_path / "run") / "results")[0], "nodes")
    assert run_rejudge(arguments(tmp_path, judge.url)) == EXIT_REFUSED
    assert "verify.py run.dir=… --repair" in capsys.readouterr().err
    assert judge.asked == 0


def test_a_folder_without_a_run_is_refused_and_not_made(
    tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_rejudge(arguments(tmp_path, judge.url)) == EXIT_REFUSED
    assert "no results" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_judge_whose_replies_are_all_cut_judges_nothing_and_does_not_end_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run")
    with FieldProvider(cut={"judge": "always"}) as provider:
        assert run_rejudge(arguments(tmp_path, provider.url, "judge.model=judge-0")) == EXIT_STOPPED
        assert f"judge (model judge-0, {provider.url}) gave no verdict on any of 10 votes" in capsys.readouterr().err
    (told,) = {
        row["failure"] for row in pq.read_table(next(tmp_path.glob("run/rejudge/*/verdicts.parquet"))).to_pylist()
    }
    assert told == "cut: hit max_tokens"


def test_a_judge_that_loses_all_of_its_first_calls_is_asked_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run")
    many = [replace(RESULT, case=replace(RESULT.case, id=f"d{number}")) for number in range(30)]
    stamp = Stamp(SEED, "digest", "1")
    ShardStore(tmp_path / "run/results").commit([result_row(one, {}, 1.0, stamp) for one in many])
    with FieldProvider(refuse=FILTERS["azure"], whom="^judge-0 (?s:.*)## ") as provider:
        chosen = arguments(tmp_path, provider.url, "judge.model=judge-0", "window=2")
        assert run_rejudge(chosen) == EXIT_STOPPED
        assert f"judge (model judge-0, {provider.url}): silent: all of its first 20 calls" in capsys.readouterr().err
        assert 20 <= provider.turned_away.total() <= 20 + 2 * 4
    assert not list(tmp_path.glob("run/rejudge/*/report.json"))
