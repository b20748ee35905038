"""Fine-tune an intern on exported chains: LoRA by InternVL's own trainer, or by transformers and peft under Ray."""

import sys
from collections.abc import Sequence

from mics_ray.command_line import ending, parse
from mics_ray.config.compose import compose_job

if __name__ == "__main__":
    # This file's folder comes first on the path, and the file would stand for the package `train`.
    sys.path.pop(0)

from train.config import TrainJob
from train.launch import launch


def main(argv: Sequence[str]) -> int:
    """Compose, check, train; returns the exit code."""
    command = parse(argv, __doc__ or "", "train")
    return ending(lambda: launch(compose_job("train", TrainJob, command.overrides, command.config_dir)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
