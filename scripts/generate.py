"""Search reasoning chains for medical cases: mentors propose steps, interns finish from them, a judge compares."""

import sys

from mics_ray.commands.generate import run_generate

if __name__ == "__main__":
    sys.exit(run_generate(sys.argv[1:]))
