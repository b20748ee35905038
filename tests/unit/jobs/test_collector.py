"""The collector of cycles in processes that make many calls; in a process of its own, for it is the process's."""

import subprocess
import sys

PROGRAM = """
import gc
from mics_ray.jobs.collector import THRESHOLDS, spare_collector
spare_collector()
assert gc.get_threshold() == THRESHOLDS and gc.get_freeze_count() > 0 and gc.isenabled()
"""


def test_the_collector_is_spared_and_stays_on() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
