"""The tests in parts, a pytest each: ``python -m tests.parts PART … [/ PART …]``.

Parts behind one ``/`` run one after the other, beside those before it. Each says at its end how long it took. The last
line adds the parts up in pytest's words; the exit code is that of the first part that did not pass.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from threading import Lock

DAILY = "not slow and not long and not outside and not browser"
RAY = "(cluster or chaos)"
PARTS = {
    "fast": f"not {RAY} and not heavy and not gpu and {DAILY}",
    "heavy": f"(heavy or gpu) and not {RAY} and {DAILY}",
    "ray": f"{RAY} and {DAILY}",
    "slow": "slow and not long and not outside",
    "chaos": "long and not outside",
    "browser": "browser",
}
"""Markers of each part; ``fast`` and ``heavy`` need no Ray."""
FOLDERS = {"ray": ("tests/cluster", "tests/chaos"), "browser": ("tests/browser",)}
"""Where the tests of a part are, if no files are named: collecting all others takes 20 s."""
RAY_FOLDERS = ("tests/chaos", "tests/cluster", "tests/outside")
TORCH_FOLDERS = ("tests/gpu", "tests/unit/train/backends/peft", "tests/unit/models/engine/test_internvl_form.py")
UNREAD = {"fast": (*RAY_FOLDERS, *TORCH_FOLDERS), "heavy": RAY_FOLDERS}
"""What a part need not import to know that none of it is its own: torch alone takes 10 s a process."""
# Each process begins with its half of the files, so that a file's fixtures and imports are made once.
SHARED = ("-n", "2", "--dist", "worksteal")
CLOSING = re.compile(r"^=* ?((?:\d+ [a-z]+,? ?)+) in [\d.]+s")
NOTHING_TO_RUN = 5  # pytest's own code: a part may be empty where files were named

Result = tuple[int, Counter[str]]
"""A part's exit code, and what pytest counted."""
Show = Callable[[str], object]
"""Takes a line of output, or several."""


def main(argv: Sequence[str]) -> int:
    """Run the parts that are named; all other arguments go to pytest."""
    words = [word for word in argv if word in PARTS or word == "/"]
    lanes = [list(names) for is_bar, names in groupby(words, key=lambda word: word == "/") if not is_bar]
    more = [word for word in argv if word not in words]
    began, printing = time.monotonic(), Lock()

    def show(text: str) -> None:
        with printing:
            print(text, end="", flush=True)

    with ThreadPoolExecutor(max(1, len(lanes))) as pool:
        results = [part for lane in pool.map(lambda lane: run_lane(lane, lanes, more, show), lanes) for part in lane]
    total = sum((counts for _, counts in results), Counter[str]())
    status = next((code for code, _ in results if code not in (0, NOTHING_TO_RUN)), 0)
    verdict = "" if status == 0 else f", exit code {status}"
    said = ", ".join(f"{count} {word}" for word, count in total.items())
    names = " + ".join(name for lane in lanes for name in lane)
    print(f"==== {names}: {said or 'no tests'} in {time.monotonic() - began:.2f}s{verdict} ====", flush=True)
    return status


def run_lane(lane: Sequence[str], lanes: Sequence[Sequence[str]], more: Sequence[str], show: Show) -> list[Result]:
    """Run parts one after the other. The last lane shows its lines as they come, others a part when it has ended."""
    return [run_part(name, more, show, is_alone=len(lanes) == 1, is_live=lane is lanes[-1]) for name in lane]


def run_part(name: str, more: Sequence[str], show: Show, is_alone: bool, is_live: bool) -> Result:
    """Run one part, show what it says, and add its time. A part that is alone on the machine uses both its cores."""
    began, closing, said = time.monotonic(), "", list[str]()
    with subprocess.Popen(
        make_command(name, more, is_alone), stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as pytest:
        assert pytest.stdout is not None
        for line in pytest.stdout:
            show(line) if is_live else said.append(line)
            closing = found[1] if (found := CLOSING.match(line)) else closing
    said.append(f"part {name}: {time.monotonic() - began:.0f} s, exit code {pytest.returncode}\n")
    show("".join(said))
    return pytest.returncode, Counter({word: int(count) for count, word in re.findall(r"(\d+) ([a-z]+)", closing)})


def make_command(name: str, more: Sequence[str], is_alone: bool) -> list[str]:
    """The pytest command of a part; where ``more`` names files or folders, only theirs are read."""
    named = any(Path(word.split("::")[0]).exists() for word in more)
    folders = () if named else FOLDERS.get(name, ())
    unread = () if named else tuple(f"--ignore={folder}" for folder in UNREAD.get(name, ()))
    shared = SHARED if name == "fast" and is_alone else ()
    slowest = "--durations=10"
    return [sys.executable, "-m", "pytest", *shared, *unread, "-m", PARTS[name], slowest, *more, *folders]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
