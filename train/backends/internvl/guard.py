"""A program between a node's actor and torch's launcher: ``python -I guard.py COMMAND …``.

When an actor ends, Ray kills its children outright. The launcher must not be among them: killed that way it leaves its
workers behind with their GPUs. This program is; the launcher then gets a SIGTERM and ends its workers. Standard
library only, and no import of ours: it starts in a bare interpreter.
"""

import ctypes
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def signal_at_parents_end(number: int) -> None:
    """In a process that was just made: have it sent ``number`` when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _terminate_at_parents_end() -> None:
    # Ignored signals stay ignored across exec, and the launcher is to obey this one.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal_at_parents_end(signal.SIGTERM)


def main(command: list[str]) -> int:
    """Run ``command`` and return its exit code, as a shell counts it. A SIGTERM of the group is for ``command``."""
    # The node's actor signals the whole group; this program stays to return the exit code.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = subprocess.Popen(command, preexec_fn=_terminate_at_parents_end).wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
