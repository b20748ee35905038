"""Plan a generation job on paper; `mics plan` is the same."""

import sys

if __name__ == "__main__":
    # Python puts this script's folder first on its path, where other scripts stand for packages of the same name.
    sys.path.pop(0)

from mics_ray.plan.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
