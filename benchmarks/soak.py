"""Half an hour of faults and kills on the embedded default: is every case there once, and was little paid twice?

Phantom cases, the tiny interns on real vLLM, the simulated mentors and judge behind a server that fails by a seed, and
every 20 seconds a process of the run is killed, the driver too; the same command goes on. Batch follows batch; when the
time is over the kills cease, the last batch ends by itself and all are checked. Prints a report and keeps it as JSON;
exits 0 when each case has one row (I1), no more was paid twice than was under way at a kill (I3), and every session
ended as it should (I6).
"""

import argparse
import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from mics_ray.errors import EXIT_STOPPED
from mics_ray.io.shards.reading import iter_rows
from mics_ray.local import chat_protocol, server
from mics_ray.local.phantoms import write_cases
from tests.support.faulty_provider import TRANSIENT, FaultyProvider
from tests.support.killer import Killer

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("worker", "writer", "endpoint") * 2 + ("intern", "driver")
"""What is killed, as often as it stands here: engines and drivers take half a minute to come back."""
WINDOW_S = 300.0  # longer than a restart of the engines, so that a window without rows is a stall
LOOK_S = 5.0  # between two looks; each reads all ids
BATCHES = 3
"""So many on a machine that searches a case a second: few, so that processes grow old."""
GRACE_S = 1800.0
"""How long the last batch may take when nothing is killed any more."""


class SimulatedProvider(FaultyProvider):
    """The embedded mentors and judge, failing by rates."""

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the embedded server would answer."""
        asked = chat_protocol.read_request(body)
        return chat_protocol.build_completion(asked, server.answer_request(asked), 1, 0)


class Soak:
    """One soak in ``folder``: its batches of cases, its sessions, and what was seen."""

    def __init__(self, folder: Path, minutes: float, faults: float, kill_every_s: float, seed: int) -> None:
        self._folder, self._kill_every_s, self._seed = folder, kill_every_s, seed
        self._per_batch = max(16, round(60 * minutes / BATCHES))
        share = faults / sum(TRANSIENT.values())
        self.provider = SimulatedProvider(rates={kind: rate * share for kind, rate in TRANSIENT.items()}, seed=seed)
        self._began = time.monotonic()
        self._until = self._began + 60 * minutes
        self.batches = 0
        self.kills: Counter[str] = Counter()
        self.codes: list[int] = []
        self.rows: list[tuple[float, int]] = []
        self.processes: dict[str, list[dict[str, float]]] = {}

    def run(self) -> dict[str, Any]:
        """Batch after batch until the time is over; returns the report."""
        with self.provider:
            _write_groups(self._folder / "conf", self.provider.url)
            while time.monotonic() < self._until and (not self.codes or self.codes[-1] == 0):
                batch = self._folder / f"batch-{self.batches}"
                write_cases(batch / "cases", self._per_batch, self._seed + self.batches)
                self.batches += 1
                self._finish_batch(batch)
        return self._build_report()

    def _finish_batch(self, batch: Path) -> None:
        """The same command again for as long as it is killed or stops early."""
        self._run_session(batch)
        while self.codes[-1] in (-signal.SIGKILL, EXIT_STOPPED) and time.monotonic() < self._until + GRACE_S:
            self._run_session(batch)

    def _run_session(self, batch: Path) -> None:
        with (self._folder / "output").open("a") as output, subprocess.Popen(
            self._batch_command(batch), stdout=output, stderr=output, text=True, start_new_session=True
        ) as started:  # fmt: skip
            killer = Killer(started, seed=self._seed + len(self.codes))
            self._kill_at_intervals(killer)
            self.codes.append(started.wait())
        self.kills.update(target for target, _ in killer.sent.elements())

    def _kill_at_intervals(self, killer: Killer) -> None:
        """Kill at intervals from the session's first call on, until it ends."""
        calls, due = len(self.provider.times), math.inf
        while killer.alive:
            time.sleep(LOOK_S)
            self._note_state(killer)
            now = time.monotonic()
            # Not before the first call: a start that is killed over and over would never search.
            if due == math.inf and len(self.provider.times) > calls:
                due = now + self._kill_every_s
            if due <= now < self._until:
                killer.strike_any(TARGETS)
                due = now + self._kill_every_s
            # A session that hangs ends here, and the report says so.
            if now > self._until + GRACE_S:
                killer.strike("driver")

    def _batch_command(self, batch: Path) -> list[str]:
        return [
            sys.executable, str(ROOT / "scripts/generate.py"), "--config-dir", str(self._folder / "conf"),
            "mentors=soak", "judge=soak", "interns=tiny", "window=16", f"data.cases={batch}/cases/cases.jsonl",
            f"run.dir={batch}/run",
        ]  # fmt: skip

    def _note_state(self, killer: Killer) -> None:
        """Note how many rows there are, and what the driver and the endpoint actor hold."""
        self.rows.append((time.monotonic() - self._began, self._count_rows().total()))
        for target in ("driver", "endpoint"):
            for pid in killer.pids(target)[:1]:
                if (held := _read_usage(pid)) is not None:
                    self.processes.setdefault(f"{target} {pid}", []).append(held | {"at": self.rows[-1][0]})

    def _count_rows(self) -> Counter[str]:
        """The committed rows of all batches by their batch and case."""
        runs = (self._folder / f"batch-{number}/run" for number in range(self.batches))
        return Counter(f"{run} {row['case_id']}" for run in runs for row in iter_rows(run / "results", ["case_id"]))

    def _build_report(self) -> dict[str, Any]:
        rows, cases = self._count_rows(), self.batches * self._per_batch
        provider, kills = self.provider, self.kills.total()
        return {
            "minutes": round((time.monotonic() - self._began) / 60, 1),
            "batches": self.batches,
            "cases": cases,
            "rows": rows.total(),
            "rows_once": sum(count == 1 for count in rows.values()),
            "calls": len(provider.times),
            "repeated_calls": provider.repaid(),
            "most_in_flight": provider.most_open,
            "injected": dict(provider.injected),
            "kills": dict(self.kills),
            "exit_codes": self.codes,
            "rows_per_window": self._rows_per_window(),
            "processes": {
                name: {"begin": seen[0], "settled": seen[len(seen) // 4], "end": seen[-1]}
                for name, seen in self._longest_lived().items()
            },
            "I1": rows.total() == cases and max(rows.values(), default=0) == 1,
            # A kill loses at most what was under way at that moment.
            "I3": provider.repaid() <= kills * provider.most_open,
            "I6": set(self.codes) <= {0, -signal.SIGKILL} and self.codes[-1] == 0,
            "injector_fired": provider.injected.total() > 0 and kills > 0,
        }

    def _rows_per_window(self) -> list[int]:
        """Rows that were committed in each window of five minutes."""
        ends = [0] * (int(self.rows[-1][0] // WINDOW_S) + 1)
        for at, count in self.rows:
            ends[int(at // WINDOW_S)] = count
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def _longest_lived(self) -> dict[str, list[dict[str, float]]]:
        """Of each kind of process the one that was seen longest."""
        longest: dict[str, list[dict[str, float]]] = {}
        for name, seen in self.processes.items():
            kind = name.split()[0]
            if len(seen) > len(longest.get(kind, [])):
                longest[kind] = seen
        return longest


def _read_usage(pid: int) -> dict[str, float] | None:
    """Memory in MB, file handles and threads of a process; ``None`` when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        handles = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        status = dict(line.split(":", 1) for line in lines)
        megabytes = round(int(status["VmRSS"].split()[0]) / 1024, 1)
        return {"megabytes": megabytes, "handles": handles, "threads": int(status["Threads"])}
    except (OSError, KeyError):
        return None


def _write_groups(folder: Path, url: str) -> None:
    """The embedded mentors and judge at another address."""
    for group in ("mentors", "judge"):
        block = yaml.safe_load((ROOT / f"conf/{group}/local.yaml").read_text())
        for entry in block.values() if group == "mentors" else [block]:
            entry |= {"base_url": url, "deadline_s": 20}
        (folder / group).mkdir(parents=True, exist_ok=True)
        (folder / group / "soak.yaml").write_text(yaml.safe_dump(block))


def main(argv: Sequence[str]) -> int:
    """Soak, print, keep the report; the exit code says whether the invariants held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--faults", type=float, default=0.02, help="share of all calls that fail")
    parser.add_argument("--kill-every", type=float, default=20, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", type=Path, default=ROOT / "runs" / time.strftime("soak-%Y%m%d-%H%M%S"))
    options = parser.parse_args(argv)
    report = Soak(options.dir, options.minutes, options.faults, options.kill_every, options.seed).run()
    text = json.dumps(report, indent=1)
    (options.dir / "soak.json").write_text(text + "\n")
    Console(highlight=False, soft_wrap=True).print(text, markup=False)
    return 0 if all(report[name] for name in ("I1", "I3", "I6", "injector_fired")) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
