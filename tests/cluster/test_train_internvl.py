"""InternVL's trainer on two pretended nodes: a look-alike of the checkout, real Ray, real torch launchers."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eval.rows import ANSWERS
from mics_ray.io.shards.reading import iter_rows
from mics_ray.local.phantoms import write_cases
from tests.support.fake_internvl import STEPS, argument, calls, make_checkout, make_export, make_model
from tests.support.original_form import write_original_form
from tests.support.processes import alive, until
from tests.support.program import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

CANARY = "sk-canary-7c2a"  # not that of conftest, which stands under names that look like no secret


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = Path(__file__).with_name("fake_gpu_cluster.py")
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "OPENAI_API_KEY": CANARY}
    log = tmp_path_factory.mktemp("cluster") / "stderr"
    with log.open("w") as stderr:
        cluster = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment,
        )
        assert cluster.stdout is not None
        lines = iter(cluster.stdout.readline, "")
        found = next((line.split()[1] for line in lines if line.startswith("address ")), None)
        assert found, log.read_text()[-3000:]
        yield found
        cluster.communicate(timeout=60)


@dataclass
class Work:
    """One training job on its own folders."""

    root: Path
    address: str
    gpus: int = 2

    @property
    def chat(self) -> Path:
        return self.root / "InternVL/internvl_chat"

    @property
    def dir(self) -> Path:
        return self.root / "out"

    def start(self, *more: str) -> "subprocess.Popen[str]":
        words = [
            "train=internvl3_2b", f"train.model={self.root}/base", f"train.dir={self.dir}",
            f"export.dir={self.root}/export", f"train.upstream.checkout={self.root}/InternVL",
            f"train.upstream.python={sys.executable}", "train.upstream.nodes=2",
            f"train.upstream.gpus_per_node={self.gpus}", "train.save_steps=2", f"ray.address={self.address}", *more,
        ]  # fmt: skip
        return subprocess.Popen(
            [sys.executable, str(ROOT / "scripts/train.py"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
            cwd=self.root,
        )

    def run(self, *more: str) -> tuple[int, str, str]:
        with self.start(*more) as program:
            out, err = program.communicate(timeout=240)
        return program.returncode, out, err


def make_work(root: Path, address: str) -> Work:
    make_checkout(root / "InternVL")
    make_model(root / "base")
    make_export(root / "export")
    return Work(root, address)


Ended = tuple[int, str, str]
"""Exit code, standard output, standard error."""


@dataclass
class Story:
    """One job over two stages that is killed, stopped, fails to merge, and goes on each time by the same command."""

    work: Work
    killed: Ended
    stopped: Ended
    unmerged: Ended
    finished: Ended
    again: Ended
    hung: list[int]
    seen: dict[str, list[dict[str, Any]]]
    """What the trainer's processes of each run saw."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, address: str) -> Story:
    work = make_work(tmp_path_factory.mktemp("story"), address)
    seen: dict[str, list[dict[str, Any]]] = {}

    def ended(name: str, end: Ended) -> Ended:
        seen[name] = calls(work.root / "InternVL")[sum(map(len, seen.values())) :]
        return end

    (work.chat / "die").write_text(json.dumps([3, 3]))
    killed = ended("killed", work.run())

    (work.chat / "hang").touch()
    (work.dir / "alignment/checkpoints/checkpoint-4").mkdir()  # as if cut short while it was written
    with work.start() as program:
        until(lambda: len(list(work.chat.glob("hung-*"))) == 4 or program.poll() is not None, 180)
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=120)
    stopped = ended("stopped", (program.returncode, out, err))
    hung = [int(path.read_text()) for path in work.chat.glob("hung-*")]
    (work.chat / "hang").unlink()

    merge = work.chat / "tools/merge_lora.py"
    whole = merge.read_text()
    merge.write_text("raise SystemExit('no room for the weights')")
    unmerged = ended("unmerged", work.run())
    merge.write_text(whole)
    finished = ended("finished", work.run())
    again = ended("again", work.run())
    return Story(work, killed, stopped, unmerged, finished, again, hung, seen)


def test_the_processes_of_both_nodes_meet_on_their_gpus(story: Story) -> None:
    first = story.seen["killed"]
    assert sorted(call["rank"] for call in first) == [0, 1, 2, 3]
    assert len({(call["env"]["MASTER_ADDR"], call["env"]["MASTER_PORT"]) for call in first}) == 1
    for call in first:
        assert sorted(call["env"]["CUDA_VISIBLE_DEVICES"].split(",")) == ["0", "1"]
        assert argument(call, "gradient_accumulation_steps") == "4"
        assert argument(call, "model_name_or_path") == str(story.work.root / "base")


def test_the_trainer_runs_in_its_own_environment(story: Story) -> None:
    for call in story.seen["killed"]:
        assert call["cwd"] == str(story.work.chat)
        assert call["env"]["PYTHONPATH"] == str(story.work.chat)
        assert call["env"]["LAUNCHER"] == "pytorch"
        assert CANARY not in call["env"].values()
        assert not [name for name in call["env"] if name.startswith("RAY_")]


def test_a_process_that_dies_ends_all_and_its_log_is_shown(story: Story) -> None:
    code, _, err = story.killed
    assert code == 78
    assert "stage alignment failed on node 1" in err
    assert "out of luck" in err
    log = story.work.dir / "alignment/logs/node-1.log"
    assert str(log) in err
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_stop_ends_the_processes_and_says_that_the_command_goes_on(story: Story) -> None:
    code, _, err = story.stopped
    assert code == 75, err
    assert "the same command goes on" in err
    assert len(story.hung) == 4
    until(lambda: not any(alive(pid) for pid in story.hung), 30)


def test_the_same_command_goes_on_from_the_last_whole_checkpoint(story: Story) -> None:
    assert {call["start"] for call in story.seen["killed"]} == {0}
    assert {call["start"] for call in story.seen["stopped"]} == {2}
    assert {call["start"] for call in story.seen["unmerged"]} == {2}


def test_a_merge_that_fails_is_shown_and_repeated_without_training_again(story: Story) -> None:
    code, _, err = story.unmerged
    assert code == 78
    assert "stage alignment, merge failed on node 0" in err
    assert "no room for the weights" in err
    assert {Path(argument(call, "meta_path")).stem for call in story.seen["finished"]} == {"chains"}


def test_the_second_stage_starts_from_the_merged_first(story: Story) -> None:
    code, out, err = story.finished
    assert code == 0, err
    merged = story.work.dir / "merged"
    assert out.strip() == str(merged)
    assert json.loads((merged / "weights.json").read_text()) == ["base", "alignment", "merged", "chains", "merged"]
    assert (merged / "modeling_internvl_chat.py").is_file()
    for call in story.seen["finished"]:
        assert argument(call, "model_name_or_path") == str(story.work.dir / "alignment/merged")


@pytest.mark.parametrize("stage", ["alignment", "chains"])
def test_each_stage_has_its_losses_and_curves(story: Story, stage: str) -> None:
    rows = [json.loads(line) for line in (story.work.dir / stage / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert (story.work.dir / stage / "curves.png").is_file()


def test_a_job_that_is_through_starts_nothing(story: Story) -> None:
    assert story.again[:2] == story.finished[:2]
    assert story.seen["again"] == []


def test_a_cluster_that_is_too_small_is_refused_with_the_sum(tmp_path: Path, address: str) -> None:
    work = make_work(tmp_path, address)
    code, _, err = Work(work.root, address, gpus=4).run()
    assert code == 78
    assert "2 node(s) with 4 GPU(s) and a core each" in err
    assert "4 GPU(s) in all" in err


def test_a_killed_driver_leaves_no_trainer_behind(tmp_path: Path, address: str) -> None:
    work = make_work(tmp_path, address)
    (work.chat / "hang").touch()
    with Work(work.root, address, gpus=1).start() as program:
        until(lambda: len(list(work.chat.glob("hung-*"))) == 2 or program.poll() is not None, 120)
        program.kill()
        program.communicate()
    pids = [int(path.read_text()) for path in work.chat.glob("hung-*")]
    assert len(pids) == 2
    until(lambda: not any(alive(pid) for pid in pids), 60)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory, address: str) -> Path:
    """What a job over one stage merges, of the embedded intern's weights in upstream's form."""
    work = make_work(tmp_path_factory.mktemp("merged"), address)
    shutil.rmtree(work.root / "base")
    write_original_form(work.root / "base")
    (work.root / "base/weights.json").write_text('["base"]')
    code, _, err = work.run("export.stages=[chains]")
    assert code == 0, err
    assert (work.dir / "merged/configuration_internvl_chat.py").is_file()
    return work.dir / "merged"


def run_program(name: str, *words: str) -> str:
    variables = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    line = [sys.executable, str(ROOT / f"scripts/{name}.py"), "serve=tiny", "serve.max_model_len=2048", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=400, check=False, env=variables)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_one_asks_the_merged_weights_without_any_flag_and_none_of_their_code_runs(merged: Path, tmp_path: Path) -> None:
    write_cases(tmp_path, 2, seed=5)
    films = ",".join(f"{tmp_path}/images/phantom-00{number}.png" for number in (1, 2))
    asked = ["question='What does the film show?'", f"images=[{films}]"]
    told = run_program("infer", f"model={merged}", *asked)
    assert "### The final answer is: " in told
    assert told == run_program("infer", "model=embedded:interns/internvl", *asked)


@pytest.mark.parametrize("form", ["internvl2_5", "native"])
def test_pictures_stand_inside_a_question_of_several_lines(form: str, tmp_path: Path) -> None:
    write_cases(tmp_path, 2, seed=5)
    films = ",".join(f"{tmp_path}/images/phantom-00{number}.png" for number in (1, 2))
    own = str(write_original_form(tmp_path / "own", form))
    model = "embedded:interns/internvl" if form == "native" else own
    question = "What is seen (Modality 1: <image>\n<image>)?\nA) this, B) that"
    drawn = ["temperature=0.2", "sampling={top_p: 0.9, top_k: 5}", "serve.max_tokens=24"]
    assert run_program("infer", f"model={model}", f"question={question}", f"images=[{films}]", *drawn).strip()


def test_the_merged_weights_are_evaluated_and_answer_as_the_same_in_the_native_form(
    merged: Path, tmp_path: Path
) -> None:
    write_cases(tmp_path / "sets/phantom", 24, seed=77)
    answers = []
    for name, model in (("native", "embedded:interns/internvl"), ("merged", str(merged))):
        words = ["eval=phantom", "judge=local", f"eval.root={tmp_path}/sets", f"eval.dir={tmp_path}/{name}"]
        run_program("evaluate", f"model={model}", *words)
        rows = iter_rows(tmp_path / name / "results", kind=ANSWERS)
        answers.append({row["item_id"]: (row["output"], row["lenient"]) for row in rows})
    native, own = answers
    assert len(own) == 24
    # The two forms round differently, which may turn a word over.
    assert sum(own[name] == native[name] for name in native) >= 22
