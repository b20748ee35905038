"""Log files of a run: one per process, under ``run.dir/logs``; never medical text, never a secret."""

import logging
import os
from pathlib import Path


def log_to(folder: Path, name: str) -> None:
    """Send this process's log records of ``mics_ray`` to ``folder/NAME.log``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("mics_ray")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
