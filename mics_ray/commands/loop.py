"""The whole loop on phantoms: search, export, LoRA on the tiny intern, evaluation of base and tuned, comparison.

Everything is embedded: simulated mentors and judge, tiny interns on real vLLM, no key and no GPU. On all of the films
the finding is faint: the base can describe those better than it can name the finding at once, so there is something to
gain by reasoning first. Two sets of chains are trained on alike: those that the search kept, and as the control those
of best-of-n over the same cases. With several training seeds every arm is trained and evaluated once a seed, on the
same chains, and the arms are compared over seeds and items.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mics_ray.commands.loop_account import print_loop_account
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
    parser.add_argument("--seeds", type=_read_seeds, default=1, help="training seeds of each arm, from 0 on")
    try:
        given = parser.parse_args(list(argv))
    except SystemExit as end:
        return EXIT_USAGE if end.code else EXIT_OK
    return train_both_arms(given.dir, given.cases, given.held_out, given.steps, given.seeds)


def _read_seeds(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seeds: 1 or more")
    return int(text)


def train_both_arms(folder: Path, cases: int, held_out: int, steps: int, seeds: int = 1) -> int:
    """Write the phantoms, run the programs one after the other, then the account."""
    console = Console(highlight=False, soft_wrap=True)
    write_cases(folder / "cases", cases, TRAINING_SEED, faint_share=1)
    write_cases(folder / "held_out" / "phantom", held_out, HELD_OUT_SEED, HELD_OUT_QUESTIONS, faint_share=1)
    seconds: dict[str, float] = {}
    for name, command in list_steps(folder, steps, seeds):
        console.rule(f"{name}: {command[0]}", align="left")
        started = time.monotonic()
        # A process each, so that Ray, vLLM and torch leave no state or memory to the next step.
        code = subprocess.run([sys.executable, "-m", "mics_ray.cli", *command], check=False).returncode
        seconds[name] = time.monotonic() - started
        if code != EXIT_OK:
            console.print(f"{name} ended with exit code {code}; the same command goes on from there", style="yellow")
            return code
    print_loop_account(console, folder, list_models(seeds), seconds)
    return EXIT_OK


def list_models(seeds: int) -> dict[str, str]:
    """Each evaluated model's name and its arm ("" of the base); a seed after the first is in the name."""
    tuned = {name_seed(arm, seed): arm for seed in range(seeds) for arm in ARMS}
    return {"base": ""} | tuned


def name_seed(name: str, seed: int) -> str:
    """The first seed has the bare name, so that a folder of one seed goes on with more."""
    return f"{name}-seed{seed}" if seed else name


def list_steps(folder: Path, steps: int, seeds: int = 1) -> list[tuple[str, list[str]]]:
    """The steps in order: a name, and the command of ``mics`` with its arguments."""
    todo: list[tuple[str, list[str]]] = []
    for arm, search in ARMS.items():
        run, export = (f"{folder}/{arm}/{part}" for part in ("run", "export"))
        cases = f"data.cases={folder}/cases/cases.jsonl"
        todo += [
            (f"search {arm}", ["generate", "experiment=demo", *search, cases, f"run.dir={run}"]),
            (f"export {arm}", ["export", f"run.dir={run}", f"export.dir={export}", "export.validation_share=0"]),
        ]
    todo.append(_evaluate(folder, "base", BASE))
    for seed in range(seeds):
        # Seed by seed, so that what a stopped loop has done is whole experiments.
        for arm in ARMS:
            trained = f"{folder}/{arm}/{name_seed('train', seed)}"
            todo.append((f"train {name_seed(arm, seed)}", [
                "train", "train=tiny", f"export.dir={folder}/{arm}/export", f"train.dir={trained}", f"seed={seed}",
                # Epochs beyond reach: max_steps alone decides, so both arms train for as long.
                "train.epochs=1000", f"train.max_steps={steps}", f"train.learning_rate={LEARNING_RATE}",
            ]))  # fmt: skip
            todo.append(_evaluate(folder, name_seed(arm, seed), f"{trained}/merged"))
    return todo + _list_comparisons(folder, seeds)


def _evaluate(folder: Path, name: str, model: str) -> tuple[str, list[str]]:
    # For all models alike: training saves its own tile limit, and base and tuned would see different tiles.
    tiles = ["+serve.processor_kwargs.max_patches=1", "+serve.processor_kwargs.crop_to_patches=false"]
    answers = [f"eval.root={folder}/held_out", f"eval.dir={folder}/eval/{name}"]
    command = ["evaluate", "eval=phantom", "serve=tiny", "judge=local", f"model={model}", *tiles, *answers]
    return f"evaluate {name}", command


def _list_comparisons(folder: Path, seeds: int) -> list[tuple[str, list[str]]]:
    """The first seed's models pair by pair; with several seeds the arms over all of them too."""
    todo = []
    for a, b in (("base", "searched"), ("base", "control"), ("control", "searched")):
        sides = [f"{folder}/eval/{name}" for name in (a, b)]
        todo.append((f"{a} against {b}", ["compare", *sides, "--out", f"{folder}/compare/{a}-{b}"]))
        if seeds > 1:
            several = [range(1 if name == "base" else seeds) for name in (a, b)]
            sides = [
                ",".join(f"{folder}/eval/{name_seed(name, seed)}" for seed in numbers)
                for name, numbers in zip((a, b), several, strict=True)
            ]
            out = f"{folder}/compare_seeds/{a}-{b}"
            todo.append((f"{a} against {b} over {seeds} seeds", ["compare", *sides, "--out", out]))
    return todo
