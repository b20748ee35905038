"""An evaluation from configuration to report, answered by a script in the place of Ray."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from eval.answer import Examiner
from eval.answer_writer import AnswerWriter
from eval.prepare import Work, prepare_evaluation
from eval.progress import progress_line, warn_of_tiling
from eval.rows import ANSWERS
from eval.run import evaluate_model
from mics_ray.core.types import Failure, LostCall
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun, Stopped
from mics_ray.io.shards.reading import iter_rows
from mics_ray.io.shards.store import ShardStore
from mics_ray.jobs.job_end import JobEnd, describe_end
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import make_rows
from mics_ray.models.types import Refused, Request
from mics_ray.runtime.monitor.progress import Progress
from tests.support.evaluation_jobs import Scripted, chain, job, models

pytestmark = pytest.mark.heavy  # whole evaluations

ROOT = Path(__file__).resolve().parents[3]


class Script:
    """Answers pending items in order, at most ``most`` of them, and remembers which it was asked."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.model = most, Scripted(lambda request: chain("gold", "Look."))
        self.judge = Scripted(lambda request: "Yes" if request.seed % 2 else "No")

    def __call__(self, work: Work, progress: Progress) -> JobEnd:
        examiner = Examiner(work, models(model=self.model, judge=self.judge))
        answers = AnswerWriter(ShardStore(work.folder.results, ANSWERS), None)
        asyncio.run(make_rows(work.pending[: self.most], examiner.answer_item, answers.rows, 4, StopSignal()))
        return describe_end(Stopped()) if self.most < len(work.pending) else JobEnd(EXIT_OK, "")


def lose(request: Request) -> str:
    raise LostCall(Failure("bad_request", "400"))


@pytest.mark.parametrize("silent", ["model", "judge"])
def test_an_evaluation_in_which_a_model_never_answered_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], silent: str
) -> None:
    script = Script()
    script.model = Scripted(lambda request: chain("something else", "Look."))  # so that the judge is asked
    setattr(script, silent, Scripted(lose))
    for _ in range(2):
        assert evaluate_model(job(tmp_path), script) == EXIT_STOPPED
        assert "none of its 8 items has a verdict" in " ".join(capsys.readouterr().err.split())


async def test_a_model_that_loses_all_of_its_first_calls_ends_an_evaluation(tmp_path: Path) -> None:
    with prepare_evaluation(job(tmp_path)) as work:
        examiner = Examiner(work, models(model=Scripted(lose), judge=Scripted(lambda request: "Yes")))
        for number in range(19):
            await examiner.answer_item(work.pending[number % len(work.pending)])
        with pytest.raises(Refused) as refused:
            await examiner.answer_item(work.pending[0])
    assert (refused.value.entry, refused.value.failure.kind) == ("model", "silent")


def test_a_stopped_evaluation_goes_on_and_asks_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = Script(most=3), Script(), Script()
    assert evaluate_model(job(tmp_path), first) == EXIT_STOPPED
    assert not (tmp_path / "out/report.json").exists(), "a part is no result"
    assert evaluate_model(job(tmp_path), second) == EXIT_OK
    assert (len(first.model.asked), len(second.model.asked)) == (3, 5)
    keys = {request.key for request, _ in first.model.asked + second.model.asked}
    assert len(keys) == 8
    assert evaluate_model(job(tmp_path), third) == EXIT_OK
    assert not third.model.asked
    rows = list(iter_rows(tmp_path / "out/results", kind=ANSWERS))
    assert sorted(row["item_id"] for row in rows) == [f"phantom/phantom-{n:03}" for n in range(1, 9)]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["benchmarks"]["phantom"]["items"] == 8
    assert report["simulated_judge"] is True
    told = capsys.readouterr()
    assert "phantom" in told.out
    assert "report.md" in told.out
    assert "8 items of phantom: 5 to answer" in told.err


def test_tiles_that_are_the_checkpoints_own_are_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unset = job(tmp_path, "serve.processor_kwargs={}")
    assert evaluate_model(unset, Script()) == EXIT_OK
    assert "serve.processor_kwargs is not set" in capsys.readouterr().out
    tiling = yaml.safe_load((tmp_path / "out/config.yaml").read_text())["checkpoint"]["tiling"]
    assert "max_patches=1" in warn_of_tiling(unset, tiling)
    assert warn_of_tiling(job(tmp_path, "+serve.processor_kwargs.max_patches=1"), tiling) == ""


def test_a_refusal_comes_before_anything_is_answered(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match="no such folder"):
        evaluate_model(job(tmp_path, "model=/no/model"), Script())
    assert not (tmp_path / "out").exists()


def test_no_text_of_an_item_is_in_the_logs(tmp_path: Path) -> None:
    script = Script()
    script.model = Scripted(lambda request: ValueError(request.text))
    assert evaluate_model(job(tmp_path), script) == EXIT_STOPPED
    told = (tmp_path / "out/logs/driver.log").read_text()
    assert "item phantom/phantom-001 failed: ValueError" in told
    assert "patient" not in told


def test_a_wrong_command_is_refused_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from eval.commands import run_evaluate
code = run_evaluate(sys.argv[1:])
print(code, sorted({"ray", "torch", "vllm", "transformers", "matplotlib"} & set(sys.modules)))
"""
    arguments = ["eval=phantom", "judge=local", "model=/no/model", f"eval.dir={tmp_path}/out", "eval.root=x"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "78 []"
    assert done.stderr.strip().startswith("refused: /no/model: no such folder")


def test_the_line_counts_this_session_and_says_what_is_left() -> None:
    text = progress_line(100, 20, {"right": 30, "wrong": 8, "unknown": 2}, 16, 20.0)
    assert str(text) == "60/100 items  right 30  wrong 8  unknown 2  open 16  2.0/s  0:20 left"
    assert str(progress_line(100, 20, {}, 0, 0.0)) == "20/100 items  open 0"
