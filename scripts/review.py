"""Let people mark the kept chains of a run in a browser on this machine; `mics review` is the same."""

import sys

if __name__ == "__main__":
    # This file's folder comes first on the path, where other scripts stand for packages of the same name.
    sys.path.pop(0)

from mics_ray.review.review_command import run_review

if __name__ == "__main__":
    sys.exit(run_review(sys.argv[1:]))
