"""Watch a run that works elsewhere; `mics watch` is the same."""

import sys

from mics_ray.runtime.monitor.watch_command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
