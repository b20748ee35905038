"""The whole loop on phantoms: search, export, LoRA on the tiny intern, evaluation of base and tuned, comparison.

Everything is embedded: simulated mentors and judge, tiny interns on real vLLM, no key and no GPU. On all of the films
the finding is faint: the base can describe those better than it can name the finding at once, so there is something to
gain by reasoning first. Two sets of chains are trained on alike: those that the search kept, and as the control those
of best-of-n over the same cases.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mics_ray.errors import EXIT_OK, EXIT_USAGE
from mics_ray.local.phantoms import HELD_OUT_QUESTIONS, write_cases

TRAINING_SEED, HELD_OUT_SEED = 5_001, 7_003
BASE = "embedded:interns/internvl"
ARMS = {"searched": ["search=paper", "search.restarts=4"], "control": ["search=best_of_n"]}
"""What is trained on, and the search that makes it. Restarts: findings that interns miss are dead ends at first."""
LEARNING_RATE = 1e-3


def run_loop(argv: Sequence[str]) -> int:
    """Run every step that is not done in ``--dir`` yet; returns the exit code of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="where everything goes; the same folder goes on")
    parser.add_argument("--cases", type=int, default=450, help="phantom cases to search")
    parser.add_argument("--held-out", type=int, default=900, help="phantom cases to evaluate on")
    parser.add_argument("--steps", type=int, default=120, help="training steps of each arm")
    try:
        given = parser.parse_args(list(argv))
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    return train_both_arms(given.dir, given.cases, given.held_out, given.steps)


def train_both_arms(folder: Path, cases: int, held_out: int, steps: int) -> int:
    """Write the phantoms, run the programs one after the other, then the account."""
    console = Console(highlight=False, soft_wrap=True)
    write_cases(folder / "cases", cases, TRAINING_SEED, faint_share=1)
    write_cases(folder / "held_out" / "phantom", held_out, HELD_OUT_SEED, HELD_OUT_QUESTIONS, faint_share=1)
    seconds: dict[str, float] = {}
    for name, command in list_steps(folder, steps):
        console.rule(f"{name}: {command[0]}", align="left")
        started = time.monotonic()
        # A process each, so that Ray, vLLM and torch leave no state or memory to the next step.
        code = subprocess.run([sys.executable, "-m", "mics_ray.cli", *command], check=False).returncode
        seconds[name] = time.monotonic() - started
        if code != EXIT_OK:
            console.print(f"{name} ended with exit code {code}; the same command goes on from there", style="yellow")
            return code
    print_loop_account(console, folder, seconds)
    return EXIT_OK


def list_steps(folder: Path, steps: int) -> list[tuple[str, list[str]]]:
    """The steps in order: a name, and the command of ``mics`` with its arguments."""
    todo: list[tuple[str, list[str]]] = []
    for arm, search in ARMS.items():
        run, export, train = (f"{folder}/{arm}/{part}" for part in ("run", "export", "train"))
        cases = f"data.cases={folder}/cases/cases.jsonl"
        todo += [
            (f"search {arm}", ["generate", "experiment=demo", *search, cases, f"run.dir={run}"]),
            (f"export {arm}", ["export", f"run.dir={run}", f"export.dir={export}", "export.validation_share=0"]),
            (f"train {arm}", ["train", "train=tiny", f"export.dir={export}", f"train.dir={train}",
                              # Epochs beyond reach: max_steps alone decides, so both arms train for as long.
                              "train.epochs=1000", f"train.max_steps={steps}", f"train.learning_rate={LEARNING_RATE}"]),
        ]  # fmt: skip
    models = {"base": BASE} | {arm: f"{folder}/{arm}/train/merged" for arm in ARMS}
    for name, model in models.items():
        # For all models alike: training saves its own tile limit, and base and tuned would see different tiles.
        tiles = ["+serve.processor_kwargs.max_patches=1", "+serve.processor_kwargs.crop_to_patches=false"]
        answers = [f"eval.root={folder}/held_out", f"eval.dir={folder}/eval/{name}"]
        todo.append((f"evaluate {name}", ["evaluate", "eval=phantom", "serve=tiny", "judge=local",
                                          f"model={model}", *tiles, *answers]))  # fmt: skip
    for a, b in (("base", "searched"), ("base", "control"), ("control", "searched")):
        sides = [f"{folder}/eval/{name}" for name in (a, b)]
        todo.append((f"{a} against {b}", ["compare", *sides, "--out", f"{folder}/compare/{a}-{b}"]))
    return todo


def print_loop_account(console: Console, folder: Path, seconds: dict[str, float]) -> None:
    """Print what was measured, and keep it in loop.json."""
    reports = {name: _read_json(folder / "eval" / name / "report.json")["all"] for name in ("base", *ARMS)}
    exported = {arm: _read_json(folder / arm / "export" / "report.json")["kept"] for arm in ARMS}
    paired = {path.name: _read_json(path / "compare.json")["all"] for path in sorted((folder / "compare").iterdir())}
    models = Table(title="held-out phantoms: faint films of other seeds, asked in other wordings", title_justify="left")
    for name in ("model", "chains", "lenient", "95 % interval", "strict", "answers found"):
        models.add_column(name, justify="left" if name == "model" else "right")
    for name, report in reports.items():
        interval = f"{report['low']:.3f} to {report['high']:.3f}"
        chains = str(exported.get(name, ""))
        rates = [f"{report[rate]:.3f}" for rate in ("strict", "parse_rate")]
        models.add_row(name, chains, f"{report['accuracy']:.3f}", interval, *rates)
    differences = Table(title="paired differences, lenient but for the last column", title_justify="left")
    for name in ("second minus first", "difference", "95 % interval", "McNemar p", "strict"):
        differences.add_column(name, justify="left" if name.startswith("second") else "right")
    for name, found in paired.items():
        interval = f"{found['low']:+.3f} to {found['high']:+.3f}"
        differences.add_row(
            name,
            f"{found['difference']:+.3f}",
            interval,
            f"{found['p_value']:.2g}",
            f"{found['strict']['difference']:+.3f}",
        )
    console.print(models, differences)
    console.print("seconds: " + ", ".join(f"{name} {spent:.0f}" for name, spent in seconds.items()))
    kept = {"models": reports, "chains": exported, "paired": paired, "seconds": seconds}
    (folder / "loop.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    console.print(f"kept in {folder}/loop.json; reports in {folder}/eval, curves in {folder}/*/train")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
