"""Rows become tables without pandas, in a process that has said so, and pandas can be had there all the same."""

import subprocess
import sys

SPARED = """
import sys
from mics_ray.io.without_pandas import spare_pandas
spare_pandas()
from mics_ray.io.records import Rejection
from mics_ray.io.rows import Stamp, rejected_row
from mics_ray.io.shards.kind import CASES
table = CASES.to_table([rejected_row(Rejection(1, "", "why"), Stamp(0, "", ""))])
assert table.to_pylist()[0]["outcome"] == "rejected"
assert "pandas" not in sys.modules
import pandas
"""


def test_a_process_that_spares_pandas_makes_tables() -> None:
    subprocess.run([sys.executable, "-c", SPARED], check=True, timeout=120)
