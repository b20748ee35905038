"""Write a run's report: charts, cases, search trees, for a browser, from the disk; `mics report` is the same."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, where other scripts stand for packages of the same name.
    sys.path.pop(0)

from mics_ray.review.command import run_report

if __name__ == "__main__":
    sys.exit(run_report(sys.argv[1:]))
