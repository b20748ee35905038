"""A report of many cases, measured: how long it takes to write, its memory and size, and how fast its page is.

``python -m benchmarks.report_page [CASES …]``; needs chromium (`make browser`).
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.support.browser import (
    file_address,
    measure_change_ms,
    measure_first_paint_ms,
    open_page,
    start_browser,
    wait_for_list,
)
from tests.support.large_run import make_large_run

CASES = (1_000, 100_000)


def main(argv: Sequence[str]) -> int:
    """Measure each number of cases; a line each."""
    for cases in map(int, argv or CASES):
        with tempfile.TemporaryDirectory() as place:
            folder = make_large_run(Path(place) / "run", cases)
            print(f"{cases:,} cases: {write_report(folder)}; {measure_page(folder, cases)}", flush=True)
    return 0


def write_report(folder: Path) -> str:
    """Write it in a process of its own, whose memory is then its own."""
    began = time.monotonic()
    subprocess.run([sys.executable, "scripts/report.py", f"run.dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    files = [path.stat().st_size for path in (folder / "report").rglob("*") if path.is_file()]
    return f"written in {seconds:.0f} s, peak {peak:.0f} MB, {sum(files) / 1e6:.1f} MB in {len(files)} files"


def measure_page(folder: Path, cases: int) -> str:
    """First paint, time until the whole list is there, time of a change of case."""
    with start_browser() as browser, open_page(browser, f"{file_address(folder / 'report/index.html')}#cases") as seen:
        seen.wait_for("#list tbody tr")
        paint = measure_first_paint_ms(seen.page)
        wait_for_list(seen.page)
        read = seen.page.evaluate("performance.now()")
        changes = [measure_change_ms(seen.page, f"case-{cases * at // 21}") for at in range(1, 21)]
    changed = f"a case {median(changes):.0f} ms (at most {max(changes):.0f})"
    return f"first paint {paint:.0f} ms, list read {read:.0f} ms, {changed}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
