"""The sbatch file of a job: rendered from the configuration, which is checked first."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from mics_ray.config.keys import DIRECTORY
from mics_ray.errors import EXIT_REFUSED, EXIT_STOPPED, RefusedRun
from mics_ray.runtime.driver.session_folder import find_length_problem
from mics_ray.runtime.serving.placement import ClusterNode, find_placement_problems
from mics_ray.submit.config import SlurmConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.package import ROOT
from mics_ray.submit.slurm.node_address import is_network

TEMPLATE = ROOT / "cluster/slurm/job.sbatch.j2"
FIRST_PORT, BLOCK_PORTS, BLOCKS = 10000, 20, 1100
"""Ports of jobs lie in 10000 to 31999, below those that the kernel gives out."""
HEAD_PORTS = 3
HEAD_STORE = 100_000_000
PATIENCE_S = 300
LONGEST_JOB_NUMBER = 8
"""Digits; SLURM's own bound is 67,043,328."""
_GPU_TYPE = re.compile(r"[\w.-]+")
_PLAIN = re.compile(r"[\w./:@%+=,-]+")


def render_sbatch(config: SlurmConfig, job: SubmittedJob, folder: str) -> str:
    """The sbatch file of ``job``, whose relative paths begin at ``folder``. Raises :class:`RefusedRun`."""
    check_slurm(config, job)
    files = str(Path(config.dir).absolute() / job.submission_id)
    own = str(job.config_dir.resolve()) if job.config_dir else None
    values: dict[str, Any] = {
        "name": job.submission_id,
        "nodes": config.nodes,
        "cpus": config.cpus_per_node,
        "gpus": config.gpus_per_node,
        # Of a type, as SLURM's options take it.
        "gpu_request": ":".join(filter(None, [config.gpu_type, str(config.gpus_per_node)])),
        "network": config.network or "",
        "store": config.object_store_bytes,
        "options": list(_sbatch_options(config)),
        "signal_s": config.signal_s,
        "files": files,
        "folder": shlex.quote(folder),
        "scratch": config.scratch,
        "python": config.python or sys.executable,
        "root": shlex.quote(str(ROOT)),
        "secrets": shlex.quote(config.secrets_dir) if config.secrets_dir else "",
        "secrets_variable": DIRECTORY,
        "program": shlex.quote(str(ROOT / "scripts" / f"{job.program}.py")),
        "arguments": shlex.join(job.program_arguments(None, own)),
        "first_port": FIRST_PORT,
        "block_ports": BLOCK_PORTS,
        "blocks": BLOCKS,
        "head_ports": HEAD_PORTS,
        "agent_ports": BLOCK_PORTS - HEAD_PORTS,
        "head_store": HEAD_STORE,
        "patience_s": PATIENCE_S,
        "exit_stopped": EXIT_STOPPED,
        "exit_refused": EXIT_REFUSED,
    }
    # Jinja's own sign for a comment stands in bash's ${#array[@]}.
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, comment_start_string="{##"
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)


def check_slurm(config: SlurmConfig, job: SubmittedJob) -> None:
    """Refuse what SLURM or the shell would misread, and models that the nodes cannot hold."""
    for name in ("dir", "scratch", "python", "memory", "time", "partition", "account", "qos", "network"):
        value = getattr(config, name)
        if value is not None and not _PLAIN.fullmatch(value):
            raise RefusedRun(f"cluster.{name}: only letters, digits and ./:@%+=,_- are allowed in {value[:80]!r}")
    for name, least in (("nodes", 1), ("cpus_per_node", 1), ("gpus_per_node", 0), ("signal_s", 30)):
        if getattr(config, name) < least:
            raise RefusedRun(f"cluster.{name}: {getattr(config, name)} is below {least}")
    _refuse_places(config)
    # Which GPUs the nodes have only they can say, and do when the job starts.
    kinds = tuple(need.accelerator for need in job.needs if need.accelerator)
    gpus, cpus = config.gpus_per_node, config.cpus_per_node
    machines = [ClusterNode(f"node {number}", gpus, cpus, "", False, kinds) for number in range(1, config.nodes + 1)]
    # Without GPUs the models run on CPUs and reserve nothing.
    if config.gpus_per_node and (problems := find_placement_problems(job.needs, machines)):
        raise RefusedRun(f"{'; '.join(problems)}; see cluster.nodes and cluster.gpus_per_node")


def _refuse_places(config: SlurmConfig) -> None:
    """Refuse what only a node would find wrong, an hour in the queue later."""
    if config.gpu_type is not None and not (_GPU_TYPE.fullmatch(config.gpu_type) and config.gpus_per_node):
        raise RefusedRun(
            f"cluster.gpu_type: {config.gpu_type[:80]!r} is to be a name such as h100 or h100_1g.12gb; how many is "
            "cluster.gpus_per_node"
        )
    if config.network is not None and not is_network(config.network):
        raise RefusedRun(
            f"cluster.network: {config.network} is neither an interface, such as ib0, nor a subnet, such as 10.1.0.0/16"
        )
    job, node = "9" * LONGEST_JOB_NUMBER, "9" * len(str(config.nodes - 1))
    if problem := find_length_problem(f"{config.scratch}/mr{job}/{node}"):
        raise RefusedRun(f"cluster.scratch: {config.scratch} is too long: {problem}")


def _sbatch_options(config: SlurmConfig) -> list[tuple[str, str]]:
    """What is left out is the cluster's own default."""
    named = {"mem": config.memory, "time": config.time, "partition": config.partition, "account": config.account}
    named["qos"] = config.qos
    return [(option, value) for option, value in named.items() if value is not None]
