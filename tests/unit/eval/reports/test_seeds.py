"""Comparisons over training seeds: by hand, how often they hold the truth, refusals, the program."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from eval.commands import run_compare
from eval.reports.seed_comparison import compare_seed_evaluations, render_seed_comparison
from eval.reports.seeds import SeededPaired, compare_seeds
from eval.reports.statistics import Mark
from mics_ray.core.types import Verdict
from mics_ray.errors import RefusedRun
from mics_ray.intervals import difference_interval
from tests.support.evaluations import CONFIG, answered, evaluation

KNOWN = {"r": Verdict.RIGHT, "w": Verdict.WRONG, "u": Verdict.UNKNOWN}


def marks(verdicts: str, clusters: str = "") -> list[Mark]:
    return [
        Mark(f"b/{n}", "b", "open", "", "", f"b/{clusters[n] if clusters else n}", True, True, KNOWN[one])
        for n, one in enumerate(verdicts)
    ]


def test_the_interval_over_three_seeds_by_hand() -> None:
    """Differences of 1/4, 2/4, 0: mean 1/4, over seeds 4.302653 · (1/4) / √3; over items of gains 2/3 1/3 0 0."""
    found = compare_seeds([marks("wwrr")], [marks("rwrr"), marks("rrrr"), marks("wwrr")])
    assert (found.seeds, found.items, found.clusters, found.by_seed) == (3, 4, 4, (0.25, 0.5, 0.0))
    assert (found.accuracy_a, found.accuracy_b, found.difference) == (0.5, pytest.approx(0.75), pytest.approx(0.25))
    half = 4.302653 * 0.25 / sqrt(3)
    assert (found.seeds_low, found.seeds_high) == (pytest.approx(0.25 - half), pytest.approx(0.25 + half))
    over_items = difference_interval([2 / 3, 1 / 3, 0.0, 0.0], list("abcd"))
    assert over_items.low is not None
    assert over_items.high is not None
    assert (found.items_low, found.items_high) == (pytest.approx(over_items.low), pytest.approx(over_items.high))
    assert found.low == pytest.approx(max(-1, 0.25 - sqrt((0.25 - over_items.low) ** 2 + half**2)))
    assert found.high == pytest.approx(min(1, 0.25 + sqrt((over_items.high - 0.25) ** 2 + half**2)))


def test_as_many_seeds_on_both_sides_are_paired_in_their_order() -> None:
    found = compare_seeds([marks("wr"), marks("ww")], [marks("rr"), marks("wr")])
    assert (found.seeds, found.by_seed, found.difference) == (2, (0.5, 0.5), 0.5)
    assert (found.accuracy_a, found.accuracy_b) == (0.25, 0.75)
    swapped = compare_seeds([marks("rr"), marks("wr")], [marks("wr"), marks("ww")])
    assert found.low is not None
    assert swapped.high == pytest.approx(-found.low)


def test_an_item_lost_in_one_evaluation_is_left_out_of_all() -> None:
    found = compare_seeds([marks("wwr")], [marks("rur"), marks("rrr")])
    assert (found.items, found.accuracy_b, found.by_seed) == (2, 1.0, (0.5, 0.5))
    nothing = compare_seeds([marks("u")], [marks("r"), marks("r")])
    assert nothing == SeededPaired(seeds=2, items=0, clusters=0, interval="none: no items")


def test_one_picture_has_no_interval_however_many_seeds() -> None:
    found = compare_seeds([marks("wwr", "aaa")], [marks("rwr", "aaa"), marks("rrr", "aaa")])
    assert (found.difference, found.low, found.items_low) == (pytest.approx(0.5), None, None)
    assert found.interval == "none: one picture alone says nothing of others"


def test_seeds_that_agree_leave_the_doubt_of_the_items() -> None:
    """Differences of five items come in steps of 1/5, whose rounding has a spread of 1/5 / √12; items: 0.396."""
    found = compare_seeds([marks("wwwww")], [marks("wwwww")] * 3)
    half = 4.302653 * 0.2 / sqrt(12) / sqrt(3)
    assert found.seeds_high == pytest.approx(half)
    assert (found.low, found.high) == pytest.approx((-np.hypot(0.396, half), np.hypot(0.396, half)), abs=1e-3)


def test_three_seeds_hold_the_truth_as_often_as_is_said_and_a_bootstrap_would_not() -> None:
    """Normal seeds and items, 20,000 samples for each share of the seeds in the variance: 95 % at least."""
    random, samples = np.random.default_rng(0), 20_000
    for share in (0.0, 0.5, 0.9, 0.99):
        error = random.normal(0, 1, samples)
        seeds = share * random.chisquare(2, samples) / 2
        half = np.hypot(stats.norm.ppf(0.975) * sqrt(1 - share), stats.t.ppf(0.975, 2) * np.sqrt(seeds))
        assert np.mean(np.abs(error) <= half) > 0.945
    assert np.mean(np.abs(error) <= 1.96 * np.sqrt(1 - share + seeds * 2 / 3)) < 0.8


def seeded(root: Path, name: str, *verdicts: str, **item: Any) -> list[Path]:
    """An evaluation for each seed's verdicts."""
    folders = []
    for seed, given in enumerate(verdicts):
        config = {**CONFIG, "model": f"{name}-{seed}", "serve": {**CONFIG["serve"], "model": f"{name}-{seed}"}}
        items = [answered("slake", number, verdict, **item) for number, verdict in enumerate(given)]
        folders.append(evaluation(root / f"{name}-{seed}", items, config))
    return folders


def test_the_program_compares_over_seeds_leniently_and_strictly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (base,), tuned = seeded(tmp_path, "base", "wwrw"), seeded(tmp_path, "tuned", "rlrw", "rrrr", "rwru")
    together = ",".join(map(str, tuned))
    assert run_compare([str(base), together, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "A: base-0\n\nB: tuned-0, tuned-1, tuned-2\n" in text
    assert "| slake | lenient | 3 | 3 | 33.3 | 88.9 | +55.6 |" in text
    assert "| slake | strict | 3 | 3 | 33.3 | 77.8 | +44.4 |" in text
    assert "| +66.7 +66.7 +33.3 |" in text
    assert "Left out: 1 items" in text
    stored = json.loads((tmp_path / "out/compare.json").read_text())
    assert stored["all"]["by_seed"] == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert stored["all"]["strict"]["by_seed"] == pytest.approx([1 / 3, 2 / 3, 1 / 3])
    assert [one["model"] for one in stored["b"]] == ["tuned-0", "tuned-1", "tuned-2"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.json", "compare.md"}
    for path in (tmp_path / "out").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert "gold" not in text


def test_a_folder_with_a_comma_in_its_name_is_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (base,), (tuned,) = seeded(tmp_path, "base", "wr"), seeded(tmp_path / "a,b", "tuned", "rr")
    assert run_compare([str(base), str(tuned)]) == 0
    assert "| slake | lenient | 2 | 50.0 | 100.0 | +50.0 |" in capsys.readouterr().out


def test_what_is_no_set_of_seeds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (base,), tuned = seeded(tmp_path, "base", "wr"), seeded(tmp_path, "tuned", "rr", "rw", "wr")
    with pytest.raises(RefusedRun, match="stands for two training seeds"):
        compare_seed_evaluations([base], [tuned[0], tuned[0]])
    with pytest.raises(RefusedRun, match="2 seeds against 3"):
        compare_seed_evaluations(tuned[:2], tuned)
    other = seeded(tmp_path, "other", "rr", question="Another?")
    with pytest.raises(RefusedRun, match="item slake/0 is another one"):
        compare_seed_evaluations([base], [tuned[0], *other])
    assert run_compare([str(base), ",".join([str(tuned[0])] * 200)]) == 78, "longer than any path"
    assert run_compare([str(base), f"{tuned[0]},{tmp_path}/nothing"]) == 78
    assert "holds no evaluation" in capsys.readouterr().err


def test_seeds_that_were_served_differently_are_told(tmp_path: Path) -> None:
    (base,), tuned = seeded(tmp_path, "base", "wr"), seeded(tmp_path, "tuned", "rr", "rw")
    changed = (tuned[1] / "config.yaml").read_text().replace("max_tokens: 192", "max_tokens: 64")
    (tuned[1] / "config.yaml").write_text(changed)
    found = compare_seed_evaluations([base], tuned)
    assert list(found.served_differently) == ["serve.max_tokens: 192 -> 64"]
    assert "**Not served alike**" in render_seed_comparison(found)


def test_a_prompt_that_does_not_ask_for_the_form_is_told(tmp_path: Path) -> None:
    (base,), tuned = seeded(tmp_path, "base", "wr"), seeded(tmp_path, "tuned", "rr", "rw")
    assert "not ask for the form" not in render_seed_comparison(compare_seed_evaluations([base], tuned))
    for folder in (base, *tuned):
        config = (folder / "config.yaml").read_text().replace("### The final answer is", "Answer")
        (folder / "config.yaml").write_text(config)
    assert "does **not ask for the form**" in render_seed_comparison(compare_seed_evaluations([base], tuned))
