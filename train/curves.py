"""Loss and learning rate of a training as a picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mics_ray.errors import RefusedRun

SPAN = 0.05
"""Share of the logged steps that the smoothed line averages over."""


def plot_curves(folder: Path) -> Path:
    """Draw ``folder/log.jsonl`` into ``folder/curves.png`` and return its path.

    Raises :class:`RefusedRun` when there is no logged step.
    """
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    points = [json.loads(line) for line in lines]
    if not points:
        raise RefusedRun(f"{path}: no step is logged, there is nothing to plot")
    steps, loss, rate = (np.array([p[key] for p in points], float) for key in ("step", "loss", "learning_rate"))
    figure = Figure(figsize=(10, 4), layout="constrained")
    upper, lower = figure.subplots(1, 2)
    upper.plot(steps, loss, ".", color="0.6", markersize=4, label="each step")
    upper.plot(steps, smooth_values(loss), color="tab:blue", linewidth=2, label="smoothed")
    upper.legend(frameon=False)
    lower.plot(steps, rate, color="tab:orange", linewidth=2)
    lower.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    _label_axes(upper, "Training loss", "nats a token")
    _label_axes(lower, "Learning rate", "")
    target = folder / "curves.png"
    FigureCanvasAgg(figure).print_png(target)
    target.chmod(0o600)
    return target


def smooth_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over a window around each value, shape (n,); at the ends the window is the part that is there."""
    reach = max(1, round(SPAN * len(values) / 2))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    means: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return means


def _label_axes(axes: Any, title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
