"""The tests in parts, one pytest after the other: ``python -m tests.parts PART …``.

Each part is a process of its own, and says at its end how long it took and how much CPU. The last line adds the parts
up in pytest's words; the exit code is that of the first part that did not pass.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

OUTSIDE = "not outside"
# Folders of which every test starts Ray, an engine or programs of the machine: both processes would read and drop them.
UNREAD = tuple(f"--ignore=tests/{folder}" for folder in ("chaos", "cluster", "outside"))
# Each process begins with its half of the files, so that a file's fixtures and imports are made once.
SHARED = ("-n", "2", "--dist", "worksteal")
PARTS = {
    "fast": (*SHARED, *UNREAD, "-m", f"not cluster and not chaos and not slow and not long and {OUTSIDE}"),
    "ray": ("-m", f"(cluster or chaos) and not slow and not long and {OUTSIDE}"),
    "slow": ("-m", f"slow and not long and {OUTSIDE}"),
    "chaos": ("-m", f"long and {OUTSIDE}"),
}
"""``fast`` needs no Ray, so that two processes share it; the others start Ray and engines, one test at a time."""
CLOSING = re.compile(r"^=* ?((?:\d+ [a-z]+,? ?)+) in [\d.]+s")
NOTHING_TO_RUN = 5  # pytest's own code: a part may be empty where files were named


def main(argv: Sequence[str]) -> int:
    """Run the parts that are named; all other arguments go to pytest."""
    names = [word for word in argv if word in PARTS]
    began, total, status = time.monotonic(), Counter[str](), 0
    for name in names:
        code, counts = run_part(name, [word for word in argv if word not in PARTS])
        total += counts
        status = status or (code if code != NOTHING_TO_RUN else 0)
    verdict = "" if status == 0 else f", exit code {status}"
    said = ", ".join(f"{count} {word}" for word, count in total.items())
    print(
        f"==== {' + '.join(names)}: {said or 'no tests'} in {time.monotonic() - began:.2f}s{verdict} ====", flush=True
    )
    return status


def run_part(name: str, more: Sequence[str]) -> tuple[int, Counter[str]]:
    """Run one part, show what it says, and add its time; exit code and what pytest counted."""
    began, before, closing = time.monotonic(), getrusage(RUSAGE_CHILDREN), ""
    command = [sys.executable, "-m", "pytest", *PARTS[name], *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as pytest:
        assert pytest.stdout is not None
        for line in pytest.stdout:
            print(line, end="", flush=True)
            closing = found[1] if (found := CLOSING.match(line)) else closing
    after = getrusage(RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    # Ray's workers outlive their parent's wait, so theirs is not all in here.
    print(
        f"part {name}: {time.monotonic() - began:.0f} s, {cpu_s:.0f} s of CPU, exit code {pytest.returncode}",
        flush=True,
    )
    return pytest.returncode, Counter({word: int(count) for count, word in re.findall(r"(\d+) ([a-z]+)", closing)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
