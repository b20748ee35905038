"""Look after the paid replies of a run; `mics cache` is the same."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, and its programs would stand for packages of the same name.
    sys.path.pop(0)

from mics_ray.commands.cache import run_cache

if __name__ == "__main__":
    sys.exit(run_cache(sys.argv[1:]))
