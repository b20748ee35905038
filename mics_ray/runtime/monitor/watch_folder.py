"""A run watched by its folder: committed shards, the case log, the driver's heartbeat, the closing account."""

import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun
from mics_ray.io.results.summary import ResultsTally
from mics_ray.private_files import read_json_object
from mics_ray.runtime.monitor import scrape
from mics_ray.runtime.monitor.logs import CASE_LOG, LIVE_FILE, modified_ns
from mics_ray.runtime.monitor.watch_view import RunView

RECENT = 8
SILENT_S = 60.0
"""A driver writes its heartbeat every ten seconds; after so long without one it is taken for dead."""
RETRY_S = 30.0
"""Before metrics ports that could not be reached are tried again."""


class FolderWatch:
    """Looks at one run folder again and again; what was read once is not read again."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`RefusedRun` where no run is."""
        if not (folder / "identity.json").is_file():
            raise RefusedRun(f"run.dir: there is no run in {folder}")
        self._folder = folder
        self._tally = ResultsTally(folder / "results")
        self._lines = CaseLogReader(folder / "logs" / CASE_LOG)
        self._pulse = _HeartbeatAge()
        self._unreachable: set[str] = set()
        self._retry_due = 0.0

    def read_view(self) -> RunView:
        """The run as it is at this moment."""
        live = read_json_object(self._folder / LIVE_FILE)
        self._tally.update()
        self._lines.read_new_lines()
        view = RunView(self._folder.resolve().name, self._describe_state(live), live.get("records"))
        view.outcomes, view.quality = Counter(self._tally.outcomes), Counter(self._tally.quality)
        for name, used in self._tally.usage.items():
            model = view.find_model(name)
            model.replies, model.cached = used.calls, used.cached_calls
            model.prompt_tokens, model.completion_tokens = used.prompt_tokens, used.completion_tokens
            model.cached_tokens, model.cost_usd = used.cached_tokens, used.cost_usd
        view.lost, view.recent = Counter(self._lines.lost), list(self._lines.recent)
        view.notes = [f"{path.name} is damaged: its rows are not counted" for path in self._tally.damaged]
        if view.state == "finished":
            view.notes.extend(read_json_object(self._folder / "summary.json").get("doubts", []))
        if view.state == "running":
            self._add_live(view, live.get("metrics", []))
        return view

    def _describe_state(self, live: Mapping[str, Any]) -> str:
        """Whether it runs, as far as the folder tells."""
        account, beat = modified_ns(self._folder / "summary.json"), modified_ns(self._folder / LIVE_FILE)
        # The account that the driver found at its start is an earlier session's.
        if account and account != live.get("summary"):
            finished = read_json_object(self._folder / "summary.json").get("finished")
            return "finished" if finished else "stopped early; the same command goes on"
        if not beat:
            return "not searching yet"
        silent = self._pulse.silent_s(beat)
        return "running" if silent < SILENT_S else f"no sign of life for {silent / 60:.0f} min; see logs/driver.log"

    def _add_live(self, view: RunView, targets: list[str]) -> None:
        """What only the metrics of the running job tell."""
        if time.monotonic() >= self._retry_due:
            self._retry_due, self._unreachable = time.monotonic() + RETRY_S, set()
        found, unreachable = scrape.read_targets_samples([one for one in targets if one not in self._unreachable])
        self._unreachable.update(unreachable)
        if self._unreachable:
            view.notes.append(f"metrics that cannot be read from here: {', '.join(sorted(self._unreachable))}")
        seen = scrape.build_views(found).get(view.run)
        if seen is None:
            return
        view.open, view.lag_s = seen.open, seen.lag_s
        for name, live in seen.models.items():
            model = view.find_model(name)
            for figure in ("failures", "retries", "waited_s", "queue", "in_flight", "prompts", "hits"):
                setattr(model, figure, getattr(live, figure))


class _HeartbeatAge:
    """How long a sign of life was not renewed. Only a first look goes by the machine's clock, which may be moved."""

    def __init__(self) -> None:
        self._beat, self._heard = 0, 0.0

    def silent_s(self, beat: int) -> float:
        """``beat``: when the sign of life was written, in nanoseconds since 1970 by whatever clock."""
        if beat != self._beat:
            age = 0.0 if self._beat else max(0.0, time.time() - beat / 1e9)
            self._beat, self._heard = beat, time.monotonic() - age
        return time.monotonic() - self._heard


class CaseLogReader:
    """The case log, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.recent: deque[Mapping[str, Any]] = deque(maxlen=RECENT)
        self.lost: Counter[str] = Counter()

    def read_new_lines(self) -> None:
        """Read the lines that are new; a last one without its end waits."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return  # half a line: it is being written
                    self._offset += len(line)
                    self._add_line(line)
        except OSError:  # no case is committed yet
            return

    def _add_line(self, line: bytes) -> None:
        try:
            case = json.loads(line)
            for kind, count in case["failures"].items():
                self.lost[kind] += count
        except (ValueError, TypeError, KeyError, AttributeError):  # cut by a full disk
            return
        self.recent.append(case)
