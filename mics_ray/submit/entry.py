"""What the Ray Jobs API starts on the cluster: checks versions and the volume, then becomes the program.

``python -m mics_ray.submit.entry VOLUME PROGRAM ARGUMENT …`` in the unpacked working directory.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mics_ray.errors import EXIT_REFUSED
from mics_ray.submit.versions import find_version_problem


def main(argv: Sequence[str]) -> int:
    """The exit code where versions differ or the volume is missing; does not return where all is in order."""
    volume, program, *arguments = argv
    problem = find_version_problem()
    if not problem and not (Path(volume).is_dir() and os.access(volume, os.W_OK)):
        problem = f"cluster.volume: no folder to write to on the head node: {volume}"
    if not problem:
        exec_program(volume, program, arguments)
    sys.stderr.write(f"refused: {problem}\n")
    return EXIT_REFUSED


def exec_program(volume: str, program: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by the program, at work in ``volume``."""
    # An old Python could not read it; versions are compared before.
    from mics_ray.submit.package import GROUP_FILES, ROOT

    os.chdir(volume)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = ["--config-dir", str(ROOT / GROUP_FILES)] if (ROOT / GROUP_FILES).is_dir() else []
    command = [sys.executable, "-u", str(ROOT / "scripts" / f"{program}.py"), *own, *arguments]
    sys.stdout.flush()
    os.execv(sys.executable, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
