"""Fine-tune an intern on exported chains: LoRA by InternVL's own trainer, or by transformers and peft under Ray."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, and the file would stand for the package `train`.
    sys.path.pop(0)

from train.commands import run_train

if __name__ == "__main__":
    sys.exit(run_train(sys.argv[1:]))
