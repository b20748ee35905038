"""What ends a program, and the exit code that says so. No other module maps an end to a code."""

EXIT_OK = 0
EXIT_USAGE = 64
EXIT_LOCKED = 73
EXIT_CANNOT_WRITE = 74
EXIT_STOPPED = 75
EXIT_REFUSED = 78


_STOPPING = ("quota", "outage", "silent", "restarts", "budget")
_BY_KIND = dict.fromkeys(_STOPPING, EXIT_STOPPED) | {"disk": EXIT_CANNOT_WRITE}


def find_exit_code(kind: str) -> int:
    """The exit code of a run that a failure of this kind ended for all calls."""
    return _BY_KIND.get(kind, EXIT_REFUSED)


class RefusedRun(Exception):
    """The run is refused before anything is spent; the message says what to do next. Exit code 78."""

    code = EXIT_REFUSED


class LockedRun(RefusedRun):
    """Another run holds the output folder. Exit code 73."""

    code = EXIT_LOCKED


class Stopped(Exception):
    """A person asked for a stop. What is done is kept, and the same command goes on. Exit code 75."""

    code = EXIT_STOPPED

    def __init__(self, message: str = "stopped; the same command goes on") -> None:
        super().__init__(message)
