import json
from pathlib import Path

import pytest

from train.backends.peft.training_log import ProgressLine, TrainingLog, read_last_line

pytestmark = pytest.mark.heavy


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def write(folder: Path, first: int, last: int, done: int) -> None:
    with TrainingLog(folder, done, True) as log:
        for step in range(first, last + 1):
            log.log_step(step, step / 10, 2.0, 1e-3, 0.5)


def test_a_resumed_training_takes_back_the_steps_that_it_repeats(tmp_path: Path) -> None:
    write(tmp_path, 1, 7, 0)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # the process was killed here
    write(tmp_path, 5, 9, 4)
    assert steps(tmp_path) == list(range(1, 10))


def test_a_line_holds_what_the_curves_need(tmp_path: Path) -> None:
    write(tmp_path, 3, 3, 0)
    assert read_last_line(tmp_path / "log.jsonl") == {
        "step": 3,
        "epoch": 0.3,
        "loss": 2.0,
        "learning_rate": 1e-3,
        "seconds": 0.5,
    }
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


def test_workers_beside_the_first_write_nothing(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, 0, False) as log:
        log.log_step(1, 0.1, 2.0, 1e-3, 0.5)
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_progress_is_said_at_most_ten_times(tmp_path: Path) -> None:
    said: list[str] = []
    with ProgressLine(tmp_path, 100, said.append) as line:
        line.show_last_step()
        for step in range(1, 101):
            write(tmp_path, step, step, step - 1)
            line.show_last_step()
    assert len(said) == 10
    assert said[-1] == "step 100/100, loss 2.000"


def test_half_a_line_is_not_read(tmp_path: Path) -> None:
    assert read_last_line(tmp_path / "log.jsonl") is None
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"st')
    assert read_last_line(tmp_path / "log.jsonl") == {"step": 1}
