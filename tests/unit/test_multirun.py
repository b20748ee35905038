"""`-m`: every combination once, in its own process and folder; nothing is started where one of them is wrong."""

import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from mics_ray.cli import main
from mics_ray.errors import EXIT_OK, EXIT_REFUSED, EXIT_STOPPED, EXIT_USAGE
from mics_ray.multirun import Ended, draw_table

pytestmark = pytest.mark.heavy

REPO = Path(__file__).parents[2]
PLAN = ["experiment=demo", "plan.cases=4", "plan.sample=4", "plan.nodes=[{gpus: 8, cpus: 64, count: 1}]"]


def mics(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mics_ray.cli", *arguments],
        cwd=REPO, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip


def test_each_combination_runs_and_the_first_bad_code_is_the_commands() -> None:
    """A plan of no cases is refused by the program itself; the other combination has its turn all the same."""
    done = mics("plan", *PLAN, "-m", "plan.cases=0,4")
    assert done.returncode == EXIT_REFUSED, done.stderr
    assert "1 of 2: plan.cases=0" in done.stdout
    assert done.stdout.count("cases an hour") > 0
    rows = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│ plan.cases=")]
    assert [(row[1].strip(), row[2].strip()) for row in rows] == [("plan.cases=0", "78"), ("plan.cases=4", "0")]


def test_nothing_starts_where_one_combination_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *PLAN, "-m", "search=paper,best_of_nn"]) == EXIT_REFUSED
    said = capsys.readouterr()
    assert "search=best_of_nn: no such file in conf/search; did you mean 'best_of_n'?" in said.err
    assert "1 of" not in said.out


def test_ctrl_c_ends_what_runs_and_starts_nothing_more() -> None:
    command = [sys.executable, "-u", "-m", "mics_ray.cli", "plan", *PLAN, "-m", "seed=range(0,4)"]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as sweep:
        assert sweep.stdout is not None
        for line in sweep.stdout:
            if "2 of 4" in line:
                sweep.send_signal(signal.SIGINT)
                break
        rest = sweep.stdout.read()
    assert sweep.returncode == EXIT_STOPPED
    assert "3 of 4" not in rest
    assert "2 not started; the same command goes on" in rest


def test_the_table_says_what_a_summary_says() -> None:
    console = Console(width=100, file=StringIO())
    summary = {"cases": 4, "quality": {"keep": 2, "zero": 1}, "spent_usd": 0.25}
    console.print(draw_table([Ended("seed=0", 0, 1.26, summary), Ended("seed=1", 75, 2.0, {})], 3))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert [word for word in lines[3].split() if word != "│"] == ["seed=0", "0", "4", "3", "0.2500", "1.3"]
    assert [word for word in lines[4].split() if word != "│"] == ["seed=1", "75", "2.0"]
    assert "1 not started" in lines[-1]


def test_the_configuration_is_printed_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MICS_TEST_MODEL", "some-model")
    given = [f"export.dir={tmp_path}/out", "run.dir=${oc.env:MICS_TEST_MODEL}"]
    assert main(["export", "--cfg", "job", *given]) == EXIT_OK
    assert yaml.safe_load(capsys.readouterr().out)["run"]["dir"] == "${oc.env:MICS_TEST_MODEL}"
    assert main(["export", "--cfg", "job", "--resolve", *given]) == EXIT_OK
    assert yaml.safe_load(capsys.readouterr().out)["run"]["dir"] == "some-model"
    assert not (tmp_path / "out").exists()


def test_the_configuration_of_each_combination_names_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["train.dir=t/x", "export.dir=e", "train=tiny", "train.epochs=1,2"]
    assert main(["train", "--cfg", "job", "-m", *sweep]) == EXIT_OK
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [one["train"]["dir"] for one in found if one] == ["t/x/train.epochs=1", "t/x/train.epochs=2"]


def test_a_wrong_configuration_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--cfg", "job", "experiment=demo", "seeed=1"]) == EXIT_REFUSED
    said = capsys.readouterr()
    assert said.out == ""
    assert "did you mean 'seed'?" in said.err
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--resolve", "experiment=demo"])
    assert ended.value.code == EXIT_USAGE
