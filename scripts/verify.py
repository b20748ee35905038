"""Check a run's results: every shard readable and whole, every input case in exactly one row; repair them."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, where other scripts stand for packages of the same name.
    sys.path.pop(0)

from mics_ray.commands.verify import run_verify

if __name__ == "__main__":
    sys.exit(run_verify(sys.argv[1:]))
