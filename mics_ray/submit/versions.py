"""Python's and Ray's versions, of who submits and of the cluster, which must be the same.

Standard library only, and plain enough for an old Python: on a cluster it is imported before anything that one could
not read.
"""

import os
import sys
from importlib import metadata

VARIABLE = "MICS_SUBMITTED_WITH"
"""Environment variable of a job on its cluster: what :func:`describe_versions` said where it was submitted."""


def describe_versions() -> str:
    """This process's, such as ``Python 3.11, Ray 2.60.0``."""
    return f"Python {sys.version_info[0]}.{sys.version_info[1]}, Ray {read_ray_version()}"


def read_ray_version() -> str:
    """The version of the installed Ray; ``none`` without one."""
    try:
        return metadata.version("ray")
    except metadata.PackageNotFoundError:
        return "none"


def find_version_problem() -> str:
    """How this process, on the cluster, differs from who submitted the job; empty where it does not."""
    submitted, here = os.environ.get(VARIABLE), describe_versions()
    if submitted is None or submitted == here:
        return ""
    return f"the cluster has {here}, the job was submitted with {submitted}; use the same on both"
