"""Submit a program to a cluster, see its status, stop it; `mics submit` is the same."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, and `train.py` there would stand for the package `train`.
    sys.path.pop(0)

from mics_ray.submit.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
