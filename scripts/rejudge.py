"""Ask another judge about the answers that a run recorded: agreement, flipped verdicts, steps chosen otherwise."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, where other scripts stand for packages of the same name.
    sys.path.pop(0)

from eval.commands import run_rejudge

if __name__ == "__main__":
    sys.exit(run_rejudge(sys.argv[1:]))
