"""The report of an evaluation: report.json, report.md and report.png from its committed rows and configuration."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.reports.chart import draw_report
from eval.reports.evaluation_files import read_answer_rows, read_evaluation_config
from eval.reports.markdown import render_report
from eval.reports.paper import account_for_paper, render_paper
from eval.reports.statistics import COLUMNS, Mark, mark_row, summarise_groups, summarise_marks
from eval.served import asks_for_form, list_settings, model_name
from mics_ray.errors import RefusedRun
from mics_ray.intervals import CONFIDENCE
from mics_ray.private_files import write_private

GROUPS = {"kind": lambda one: one.kind, "modality": lambda one: one.modality, "topic": lambda one: one.topic}


def write_evaluation_report(folder: Path) -> dict[str, Any]:
    """Write the three files into an evaluation's ``folder`` and return what report.json holds.

    Raises :class:`RefusedRun` for a folder without configuration or rows, ``OSError`` when it cannot be written.
    """
    config = read_evaluation_config(folder)
    rows = list(read_answer_rows(folder, [*COLUMNS, "config_digest", "code_version"]))
    if not rows:
        raise RefusedRun(f"{folder}: holds no rows yet; run evaluate.py first")
    report = build_evaluation_report(rows, config)
    write_private(folder / "report.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    write_private(folder / "report.md", render_report(report, render_paper(report["benchmarks"])).encode())
    write_private(folder / "report.png", draw_report(report))
    return report


def build_evaluation_report(rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
    """The report of some rows: JSON-able, shares from 0 to 1, the paper's figures in percent as it prints them."""
    marks = [mark_row(row) for row in rows]
    known = config["eval"].get("benchmarks") or {}
    # In the order of the configuration; rows lie in the order in which answers came.
    names = sorted({one.benchmark for one in marks}, key=lambda name: ([*known, name].index(name), name))
    benchmarks = {
        name: _benchmark_account([one for one in marks if one.benchmark == name], known.get(name)) for name in names
    }
    accuracies = [found["accuracy"] for found in benchmarks.values()]
    return {
        "model": model_name(config),
        "served": list_settings(config),
        "simulated_judge": (config.get("judge") or {}).get("base_url") == "local",
        "asked_for_form": asks_for_form(config),
        "confidence": CONFIDENCE,
        "benchmarks": benchmarks,
        "all": asdict(summarise_marks(marks)),
        # No mean where a benchmark has no figure: one of the others would pass for the whole.
        "mean_of_benchmarks": None if None in accuracies else sum(accuracies) / len(accuracies),
        "config_digests": sorted({row["config_digest"] for row in rows}),
        "code_versions": sorted({row["code_version"] for row in rows}),
    }


def _benchmark_account(marks: Sequence[Mark], config: Mapping[str, Any] | None) -> dict[str, Any]:
    """One benchmark's account, with its breakdowns where there is more than one group."""
    about = config or {}
    groups = {name: summarise_groups(marks, by) for name, by in GROUPS.items()}
    return asdict(summarise_marks(marks)) | {
        "in_domain": bool(about.get("in_domain")),
        "paper": account_for_paper(marks, about),
        "by": {
            name: {key: asdict(value) for key, value in found.items()}
            for name, found in groups.items()
            if len(found) > 1
        },
    }
