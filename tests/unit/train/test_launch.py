"""The launcher around a backend: dry run, the folder's lock and identity, endings and their exit codes."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.config.compose import compose_job
from mics_ray.errors import LockedRun, RefusedRun, Stopped
from mics_ray.jobs.lock import RunLock
from tests.support.fake_internvl import make_checkout, make_export, make_model
from tests.support.program import ROOT
from train import launch as launching
from train.backends.base import Say, TrainerFailed
from train.config import Backend, TrainJob
from train.launch import launch_training, training_identity


class StubTrainer:
    """A backend that leaves a checkpoint and ends as it is told to."""

    def __init__(self, end: Exception | None = None, refuses: bool = False) -> None:
        self.end, self.refuses = end, refuses

    def check_training(self, job: TrainJob) -> None:
        if self.refuses:
            raise RefusedRun("not so")

    def list_commands(self, job: TrainJob) -> list[str]:
        return ["one --very-long " + "word " * 60, "[two]"]

    def find_checkpoints(self, job: TrainJob) -> list[Path]:
        return list(Path(job.train.dir).glob("checkpoint"))

    def train_stages(self, job: TrainJob, say: Say) -> Path:
        (Path(job.train.dir) / "checkpoint").touch()
        if self.end:
            raise self.end
        return Path(job.train.dir) / "merged"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> StubTrainer:
    made = StubTrainer()
    monkeypatch.setattr(launching, "load_backend", lambda kind: made)
    return made


def job(folder: Path, *more: str) -> TrainJob:
    if not (folder / "export").exists():
        make_export(folder / "export")
    rate = "train.learning_rate=4e-5"
    words = ["train=tiny", rate, f"train.dir={folder}/out", f"export.dir={folder}/export", *more]
    return compose_job("train", TrainJob, words)


def test_every_kind_of_backend_has_its_class_in_the_table() -> None:
    assert set(launching.BACKENDS) == set(Backend)
    assert type(launching.load_backend(Backend.internvl)).__name__ == "InternVLTrainer"


def test_a_finished_job_prints_where_the_weights_are(
    tmp_path: Path, stub: StubTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch_training(job(tmp_path)) == 0
    assert capsys.readouterr().out == f"{tmp_path}/out/merged\n"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "out/config.yaml").stat().st_mode) == 0o600
    assert "learning_rate: 4.0e-05" in (tmp_path / "out/config.yaml").read_text()


@pytest.mark.parametrize(
    ("end", "code"), [(Stopped("stopped; goes on"), 75), (TrainerFailed("failed on [node] 1"), 78)]
)
def test_an_early_end_says_why_and_has_its_code(
    tmp_path: Path, stub: StubTrainer, capsys: pytest.CaptureFixture[str], end: Exception, code: int
) -> None:
    stub.end = end
    assert launch_training(job(tmp_path)) == code
    shown = capsys.readouterr()
    assert str(end) in shown.err
    assert shown.out == ""


def test_a_dry_run_prints_each_command_on_its_line_and_writes_nothing(
    tmp_path: Path, stub: StubTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    described = job(tmp_path, "train.dry_run=true")
    assert launch_training(described) == 0
    assert capsys.readouterr().out.splitlines() == stub.list_commands(described)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dry", ["true", "false"])
def test_what_the_backend_refuses_ends_before_anything_is_written(tmp_path: Path, stub: StubTrainer, dry: str) -> None:
    stub.refuses = True
    with pytest.raises(RefusedRun, match="not so"):
        launch_training(job(tmp_path, f"train.dry_run={dry}"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_another_run_holds_is_refused(tmp_path: Path, stub: StubTrainer) -> None:
    (tmp_path / "out").mkdir()
    with RunLock(tmp_path / "out/.lock"), pytest.raises(LockedRun) as refused:
        launch_training(job(tmp_path))
    assert refused.value.code == 73
    assert launch_training(job(tmp_path)) == 0


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, stub: StubTrainer) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RefusedRun, match=r"train\.dir: cannot write"):
        launch_training(job(tmp_path))


def test_checkpoints_of_another_recipe_are_never_gone_on_from(tmp_path: Path, stub: StubTrainer) -> None:
    launch_training(job(tmp_path))
    with pytest.raises(RefusedRun) as refused:
        launch_training(job(tmp_path, "train.learning_rate=1e-3"))
    assert "train.learning_rate: 4e-05 -> 0.001" in str(refused.value)
    assert launch_training(job(tmp_path)) == 0


def test_without_a_checkpoint_the_folder_binds_nobody(tmp_path: Path, stub: StubTrainer) -> None:
    launch_training(job(tmp_path))
    (tmp_path / "out/checkpoint").unlink()
    assert launch_training(job(tmp_path, "train.learning_rate=1e-3")) == 0


def test_samples_that_changed_are_another_configuration(tmp_path: Path, stub: StubTrainer) -> None:
    launch_training(job(tmp_path))
    with (tmp_path / "export/chains.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(RefusedRun, match=r"stages\.chains\.chains"):
        launch_training(job(tmp_path))


def test_where_the_trainer_lies_and_how_often_it_saves_may_change(tmp_path: Path) -> None:
    before = training_identity(job(tmp_path))
    moved = ["train.upstream.python=/p", "train.upstream.checkout=/c", "train.save_steps=7", "train.log_steps=9"]
    assert training_identity(job(tmp_path, *moved)) == before
    assert training_identity(job(tmp_path, "seed=1")) != before
    assert training_identity(job(tmp_path, "export.stages=[chains]")) != before
    assert json.loads(json.dumps(before)) == before


def test_the_script_prints_a_dry_run_without_ray_or_torch(tmp_path: Path) -> None:
    make_checkout(tmp_path / "InternVL")
    make_model(tmp_path / "base")
    make_export(tmp_path / "export")
    words = [
        "train=internvl3_2b", f"train.model={tmp_path}/base", f"train.dir={tmp_path}/out", "train.dry_run=true",
        f"export.dir={tmp_path}/export", f"train.upstream.checkout={tmp_path}/InternVL",
        f"train.upstream.python={sys.executable}",
    ]  # fmt: skip
    program = f"""
import sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
import runpy
sys.argv = [{str(ROOT / "scripts/train.py")!r}, *{words!r}]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(*sorted({{"ray", "torch", "transformers", "vllm", "pyarrow"}} & set(sys.modules)), "end", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.split() == ["end"]
    assert "torch.distributed.run" in done.stdout


def test_the_script_refuses_in_one_line_with_code_78(tmp_path: Path) -> None:
    words = ["train=internvl3_2b", f"train.dir={tmp_path}/out", f"export.dir={tmp_path}/export"]
    program = [sys.executable, str(ROOT / "scripts/train.py"), *words]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert "train.upstream.checkout is not set" in done.stderr
