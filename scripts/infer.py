"""Ask a model one question, with no, one or many pictures: its reasoning streams to standard output."""

import sys

from eval.commands import run_infer

if __name__ == "__main__":
    sys.exit(run_infer(sys.argv[1:]))
