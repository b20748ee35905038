"""The whole loop on phantoms: search, export, train, evaluate, compare; `mics loop` is the same."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, and its programs would stand for packages of the same name.
    sys.path.pop(0)

from mics_ray.commands.loop import run_loop

if __name__ == "__main__":
    sys.exit(run_loop(sys.argv[1:]))
