"""Show one case of a run on the terminal: its question, its search tree, its chain; `mics show` is the same."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, where other scripts stand for packages of the same name.
    sys.path.pop(0)

from mics_ray.review.command import run_show

if __name__ == "__main__":
    sys.exit(run_show(sys.argv[1:]))
