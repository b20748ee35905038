"""The file for Ray's cluster launcher on AWS or GCP, as plain data. Pure.

The head has no GPU and stays; GPU machines come and go with what the models ask for. Nothing listens outside the
cluster's own network, and every Ray process asks for the token.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mics_ray.errors import RefusedRun
from mics_ray.runtime.serving.placement import ACCELERATOR, ReplicaNeed
from mics_ray.submit.config import NOTHING_TOLD, MachineType, VmConfig
from mics_ray.submit.job import SubmittedJob

PROVIDERS = ("aws", "gcp")
HEAD = "head"
CODE = "/opt/mics"
"""Where the image of cluster/docker/Dockerfile holds the project."""
TOKEN, SECRETS, GROUP_FILES = "/home/mics/.ray/auth_token", "/home/mics/secrets", "/home/mics/conf"
"""In the containers: the token on every machine, keys and group files on the head alone."""
SDK = {"aws": "boto3==1.40.55", "gcp": "google-api-python-client==2.185.0"}
"""What the autoscaler on the head starts machines with."""
GCP_IMAGE = "projects/deeplearning-platform-release/global/images/family/common-cu128-ubuntu-2204"


def build_cluster_file(config: VmConfig, job: SubmittedJob, token_file: str) -> dict[str, Any]:
    """The launcher's file for a cluster of this job. Raises :class:`RefusedRun` where no machine holds a model."""
    machines = machine_types(config)
    most = count_machines(job.needs, {name: one for name, one in machines.items() if name != HEAD})
    types = {HEAD: _node_type(config, machines[HEAD], 0)}
    types |= {name: _node_type(config, machines[name], count) for name, count in most.items()}
    return {
        "cluster_name": job.submission_id,
        "max_workers": sum(most.values()),
        "idle_timeout_minutes": config.idle_minutes,
        "provider": _provider_section(config),
        "auth": {"ssh_user": config.user},
        "docker": _docker_section(config),
        "head_node_type": HEAD,
        "available_node_types": types,
        "file_mounts": {TOKEN: token_file},
        "initialization_commands": list(config.mount_commands),
        # The image holds everything; Ray's defaults would install another version.
        "setup_commands": [],
        "head_setup_commands": [f"python -m pip install --quiet {SDK[config.provider]}"],
        "worker_setup_commands": [],
        "head_start_ray_commands": ["ray stop", _ray_start(config, "--head --port=6379 --num-gpus=0", _AUTOSCALER)],
        "worker_start_ray_commands": ["ray stop", _ray_start(config, "--address=$RAY_HEAD_IP:6379")],
    }


def machine_types(config: VmConfig) -> dict[str, MachineType]:
    """The machine types of the chosen provider, by name."""
    return config.aws if config.provider == "aws" else config.gcp


_AUTOSCALER = "--autoscaling-config=~/ray_bootstrap_config.yaml --dashboard-host=127.0.0.1"


def count_machines(wanted: Iterable[ReplicaNeed], machines: Mapping[str, MachineType]) -> dict[str, int]:
    """How many of each machine the models may take: each goes to the smallest with its GPUs.

    Raises :class:`RefusedRun` with what is needed and the biggest machine there is.
    """
    counts: dict[str, int] = {}
    for need in (need for need in wanted if need.gpus):
        right = {name: one for name, one in machines.items() if need.accelerator in (None, one.accelerator)}
        fitting = sorted((one.gpus, name) for name, one in right.items() if one.gpus >= need.gpus)
        if not fitting:
            biggest = max((one.gpus for one in right.values()), default=0)
            kind = f" of {need.accelerator}" if need.accelerator else ""
            raise RefusedRun(
                f"cluster.aws, cluster.gcp: {need.entry} needs {need.gpus:g} GPUs{kind} on one machine, "
                f"the biggest{kind} has {biggest}"
            )
        gpus, name = fitting[0]
        counts[name] = counts.get(name, 0) + math.ceil(need.limit * need.stages / _stages_per_machine(need, gpus))
    return counts


def _stages_per_machine(need: ReplicaNeed, gpus: int) -> int:
    """Replicas, or stages, of a model that one machine holds: shares of a GPU come from a single one."""
    return gpus * int(1 / need.gpus + 1e-9) if need.gpus < 1 else gpus // math.ceil(need.gpus)


def _provider_section(config: VmConfig) -> dict[str, Any]:
    place = {"type": config.provider, "region": config.region, "availability_zone": config.zone}
    return place | ({"project_id": config.project} if config.provider == "gcp" else {"cache_stopped_nodes": False})


def _docker_section(config: VmConfig) -> dict[str, Any]:
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": TOKEN, **NOTHING_TOLD}
    environment["HF_HOME"] = f"{config.volume}/hub"
    variables = [f"-e {name}={value}" for name, value in environment.items()]
    return {
        "image": config.image,
        "container_name": "mics",
        "pull_before_run": True,
        "run_options": [*variables, f"-v {config.volume}:{config.volume}", "--ulimit nofile=65536:65536"],
    }


def _ray_start(config: VmConfig, *options: str) -> str:
    ports = f"--object-manager-port=8076 --object-store-memory={config.object_store_bytes}"
    return f"ulimit -n 65536; ray start {' '.join(options)} {ports}"


def _node_type(config: VmConfig, machine: MachineType, most: int) -> dict[str, Any]:
    spot = config.spot and bool(machine.gpus)
    made = _aws_node(config, machine, spot) if config.provider == "aws" else _gcp_node(config, machine, spot)
    resources = {"CPU": machine.cpus} | ({"GPU": machine.gpus} if machine.gpus else {})
    if machine.accelerator:
        resources[f"{ACCELERATOR}{machine.accelerator}"] = 1
    return {"resources": resources, "min_workers": 0, "max_workers": most, "node_config": made}


def _aws_node(config: VmConfig, machine: MachineType, spot: bool) -> dict[str, Any]:
    node: dict[str, Any] = {
        "InstanceType": machine.type,
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": config.disk_gb, "VolumeType": "gp3", "Encrypted": True}}
        ],
        # Two hops: the autoscaler asks for its role from inside a container.
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
    }
    if config.machine_image:
        node["ImageId"] = config.machine_image
    return node | ({"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {})


def _gcp_node(config: VmConfig, machine: MachineType, spot: bool) -> dict[str, Any]:
    disk = {"diskSizeGb": config.disk_gb, "sourceImage": config.machine_image or GCP_IMAGE}
    node: dict[str, Any] = {
        "machineType": machine.type,
        "disks": [{"boot": True, "autoDelete": True, "type": "PERSISTENT", "initializeParams": disk}],
    }
    if machine.gpus:
        # Machines with GPUs cannot be moved while they run.
        node["scheduling"] = [{"onHostMaintenance": "TERMINATE", "preemptible": spot}]
        node["metadata"] = {"items": [{"key": "install-nvidia-driver", "value": "True"}]}
    return node
