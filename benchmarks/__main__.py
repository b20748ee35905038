"""All benchmarks: ``python -m benchmarks [--only NAME …] [--quick] [--out FOLDER]``.

Writes RESULTS.md and results.json into ``benchmarks/`` (or ``--out``), and the README's table from them. Exit code 1
where a benchmark failed; the others are measured all the same, and entries of those that were not asked for stay.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.harness.figures import current_load, read_figure
from benchmarks.harness.readme import RESULTS, write_readme
from benchmarks.harness.results import tell_figure
from benchmarks.harness.suite import SUITE, run_suite


def main() -> int:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SUITE, default=list(SUITE), metavar="NAME", help=" ".join(SUITE))
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, marked so in the results: no figures to quote"
    )
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="folder of the two files")
    options = parser.parse_args()
    console, failed = Console(highlight=False, soft_wrap=True), False
    options.out.mkdir(parents=True, exist_ok=True)
    console.print(f"load {current_load():.1f}: {len(options.only)} benchmarks")
    for name, found in run_suite(options.only, options.quick, options.out / RESULTS.name):
        failed = failed or found["error"] is not None
        console.print(f"\n{name}: {found['title']} {found['seconds']:.0f} s {found['error'] or ''}", markup=False)
        for one in found["figures"]:
            cells = tell_figure(read_figure(one))
            console.print(f"  {cells[0]} {cells[1]}: {' '.join(filter(None, cells[2:6]))}", markup=False)
    if options.out == RESULTS.parent:
        write_readme()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
