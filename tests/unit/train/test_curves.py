import json
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mics_ray.errors import RefusedRun
from train.curves import plot_curves, smooth_values


def write(folder: Path, loss: list[float]) -> None:
    lines = [
        {"step": n, "epoch": n, "loss": value, "learning_rate": 1e-3 / n, "seconds": 1}
        for n, value in enumerate(loss, 1)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_two_panels_are_drawn_beside_the_log(tmp_path: Path) -> None:
    write(tmp_path, list(np.linspace(3, 1, 50)))
    target = plot_curves(tmp_path)
    assert target == tmp_path / "curves.png"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    picture = np.asarray(Image.open(target).convert("RGB")).astype(int)
    blue, orange = ((picture - colour).__abs__().sum(-1) < 30 for colour in ((31, 119, 180), (255, 127, 14)))
    half = picture.shape[1] // 2
    assert blue[:, :half].sum() > 200
    assert blue[:, half:].sum() == 0
    assert orange[:, half:].sum() > 200
    assert orange[:, :half].sum() == 0


def test_another_log_gives_another_picture_and_one_step_is_enough(tmp_path: Path) -> None:
    write(tmp_path, [2.0])
    first = plot_curves(tmp_path).read_bytes()
    write(tmp_path, [2.0, 1.0])
    assert plot_curves(tmp_path).read_bytes() != first


def test_without_steps_there_is_nothing_to_plot(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match=r"log\.jsonl: no step is logged"):
        plot_curves(tmp_path)


def test_smoothing_averages_over_a_window_that_shrinks_at_the_ends() -> None:
    assert smooth_values(np.array([1.0, 2.0, 6.0])).tolist() == [1.5, 3.0, 4.0]
    assert smooth_values(np.full(200, 3.0)).tolist() == pytest.approx([3.0] * 200)
    ramp = smooth_values(np.arange(200.0))
    assert ramp[100] == pytest.approx(100)
    assert ramp[0] == pytest.approx(2.5)
