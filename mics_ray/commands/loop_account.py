"""The account of the loop: what every model reached, what the arms differ by, over seeds where there are several."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mics_ray.command_line import make_table


def print_loop_account(console: Console, folder: Path, models: Mapping[str, str], seconds: Mapping[str, float]) -> None:
    """Print what was measured, and keep it in loop.json. ``models`` are the evaluated ones, each with its arm."""
    reports = {name: _read_json(folder / "eval" / name / "report.json")["all"] for name in models}
    arms = dict.fromkeys(arm for arm in models.values() if arm)
    exported = {arm: _read_json(folder / arm / "export" / "report.json")["kept"] for arm in arms}
    kept = {"models": reports, "chains": exported, "paired": _read_comparisons(folder / "compare")}
    chains = {name: str(exported.get(arm, "")) for name, arm in models.items()}
    console.print(_tabulate_models(reports, chains), _tabulate_differences(kept["paired"]))
    if len(models) > 1 + len(arms):
        kept["over_seeds"] = _read_comparisons(folder / "compare_seeds")
        console.print(_tabulate_seeds(kept["over_seeds"]))
        console.print("the chains are the same for all seeds: the intervals are over training seeds and items")
    console.print("seconds: " + ", ".join(f"{name} {spent:.0f}" for name, spent in seconds.items()))
    stored = json.dumps(kept | {"seconds": dict(seconds)}, indent=1) + "\n"
    (folder / "loop.json").write_text(stored, encoding="utf-8")
    console.print(f"kept in {folder}/loop.json; reports in {folder}/eval, curves in {folder}/*/train*")


def _tabulate_models(reports: Mapping[str, Any], chains: Mapping[str, str]) -> Table:
    title = "held-out phantoms: faint films of other seeds, asked in other wordings"
    table = make_table(title, "model", "chains", "lenient", "95 % interval", "strict", "answers found")
    for name, report in reports.items():
        rates = [f"{report[rate]:.3f}" for rate in ("strict", "parse_rate")]
        table.add_row(name, chains[name], f"{report['accuracy']:.3f}", _format_range(report, sign=""), *rates)
    return table


def _tabulate_differences(paired: Mapping[str, Any]) -> Table:
    title = "paired differences, lenient but for the last column"
    table = make_table(title, "second minus first", "difference", "95 % interval", "p", "strict")
    for name, found in paired.items():
        # Where pictures repeat the test of pictures is the one to read.
        p = found["p_value"] if found["p_clustered"] is None else found["p_clustered"]
        strict = f"{found['strict']['difference']:+.3f}"
        table.add_row(name, f"{found['difference']:+.3f}", _format_range(found), f"{p:.2g}", strict)
    return table


def _tabulate_seeds(paired: Mapping[str, Any]) -> Table:
    seeds = max(found["seeds"] for found in paired.values())
    title = f"over {seeds} training seeds: differences, and intervals over seeds and items"
    table = make_table(title, "second minus first", "", "change", "95 % interval", "each seed")
    for name, found in paired.items():
        for scored, one in (("lenient", found), ("strict", found["strict"])):
            each = " ".join(f"{change:+.2f}" for change in one["by_seed"])
            table.add_row(name, scored, f"{one['difference']:+.3f}", _format_range(one), each)
    return table


def _format_range(found: Mapping[str, Any], sign: str = "+") -> str:
    """A dash where there is no interval: one picture alone."""
    return "–" if found["low"] is None else f"{found['low']:{sign}.3f} to {found['high']:{sign}.3f}"


def _read_comparisons(folder: Path) -> dict[str, Any]:
    return {path.name: _read_json(path / "compare.json")["all"] for path in sorted(folder.iterdir())}


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
