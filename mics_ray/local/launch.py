"""Starting the simulated mentor-and-judge server beside a run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mics_ray.private_files import open_private


@contextmanager
def simulated_server(log: Path) -> Iterator[str]:
    """Run the server as a child process that writes to ``log``; yields its base URL on loopback.

    It ends with its parent, however that ends: its standard input closes. ``log`` is readable by its owner only.
    """
    command = [sys.executable, "-m", "mics_ray.local.server", "--port", "0"]
    # A session of its own: Ctrl-C at the terminal is for the driver, which lets paid calls finish first.
    with (
        open(log, "a", opener=open_private) as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        # The server writes its address when it listens; an empty line means that it ended first.
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated server did not start (exit code {process.wait()}), see {log}")
        try:
            yield json.loads(line)["url"]
        finally:
            # Ends the server too, should the signal be missed while it starts.
            process.stdin.close()
            process.terminate()
