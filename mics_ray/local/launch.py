"""Starting the simulated mentor-and-judge server beside a run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def simulated_server() -> Iterator[str]:
    """Run the server as a child process; yields its base URL on loopback. It ends with its parent: its stdin closes."""
    command = [sys.executable, "-m", "mics_ray.local.server", "--port", "0"]
    # A session of its own: Ctrl-C at the terminal is for the driver, which lets paid calls finish first.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated server did not start (exit code {process.wait()})")
        try:
            yield json.loads(line)["url"]
        finally:
            process.stdin.close()
            process.terminate()
