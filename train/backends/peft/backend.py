"""The backend `peft`: transformers' native InternVL with LoRA, its workers under Ray Train."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun, Stopped
from train.backends.base import Say
from train.backends.peft.check import check_folder, check_job
from train.backends.peft.order import step_count
from train.backends.peft.records import Records
from train.config import TrainConfig, TrainJob
from train.stages import Stage

FAILURES = 3
"""Workers that may die before a training is given up."""
LOOK_EVERY_S = 0.5


class PeftLora:
    """A :class:`~train.backends.base.TrainBackend`. Everything is under ``train.dir``; where several stages are
    trained, under a folder of the stage's name there."""

    def check_training(self, job: TrainJob) -> None:
        """See the protocol."""
        check_job(job)

    def list_commands(self, job: TrainJob) -> list[str]:
        """See the protocol; nothing is a process of its own, so these are comments."""
        train, stages = job.train, check_job(job)
        where = "GPU" if train.use_gpu else "CPU"
        return [
            f"# Ray Train, {train.workers} workers on {where}: stage {stage.name}, {len(records)} samples, "
            f"{_count_steps(train, records)} steps of {train.batch_size} -> {folder / 'merged'}"
            for (stage, records), folder in zip(
                stages, _stage_folders(job, [stage for stage, _ in stages]), strict=True
            )
        ]

    def find_checkpoints(self, job: TrainJob) -> list[Path]:
        """See the protocol."""
        root = Path(job.train.dir)
        kinds = ("checkpoints/step-*.pt", "merged")
        return [path for part in ("", "*/") for kind in kinds for path in root.glob(part + kind)]

    def train_stages(self, job: TrainJob, say: Say) -> Path:
        """See the protocol."""
        from train.curves import plot_curves

        stages = check_job(job)
        with _ensure_ray(job):
            _check_cluster(job.train)
            base = job.train.model
            for (stage, records), folder in zip(
                stages, _stage_folders(job, [stage for stage, _ in stages]), strict=True
            ):
                if not (folder / "merged").exists():
                    _train_stage(job, stage, records, base, folder, say)
                plot_curves(folder)
                base = str(folder / "merged")
        return Path(base)


def _stage_folders(job: TrainJob, stages: Sequence[Stage]) -> list[Path]:
    """Where the results of each stage lie."""
    root = Path(job.train.dir).absolute()
    return [root] if len(stages) == 1 else [root / stage.name for stage in stages]


def _count_steps(train: TrainConfig, records: Records) -> int:
    return step_count(len(records), train.batch_size, train.epochs, train.max_steps)


def _ensure_ray(job: TrainJob) -> Any:
    """Ray for a while; one that is connected already stays."""
    import ray

    from mics_ray.runtime.driver.cluster import join_cluster

    return nullcontext() if ray.is_initialized() else join_cluster(job.ray)


def _check_cluster(train: TrainConfig) -> None:
    import ray

    there = ray.cluster_resources()
    kind = "GPU" if train.use_gpu else "CPU"
    if there.get(kind, 0) < train.workers:
        hint = "; give train.use_gpu=false or a cluster that has them" if train.use_gpu else ""
        raise RefusedRun(
            f"train.workers: {train.workers} need a {kind} each, the cluster has {there.get(kind, 0):g}{hint}"
        )


def _train_stage(job: TrainJob, stage: Stage, records: Records, base: str, folder: Path, say: Say) -> None:
    from train.backends.peft.data import Encoder
    from train.backends.peft.loop import STOP, StagePlan
    from train.backends.peft.model import load_processor, local_folder

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A stop that an earlier run was asked for would end this one after its first step.
    (folder / STOP).unlink(missing_ok=True)
    model = local_folder(base, job.train.revision)
    check_folder(model, job.train)
    encoder = Encoder(load_processor(model), job.train.max_tiles, job.train.max_seq_length)
    # All of them before workers start: a record too long would end the training hours later.
    for record in records.iter_lines():
        encoder.check_length(record)
    plan = StagePlan(job.train, stage.entries, base, folder, _count_steps(job.train, records), job.seed)
    say(f"stage {stage.name}: {len(records)} samples, {plan.steps} steps of {job.train.batch_size}")
    _fit_with_progress(plan, say)
    if not (folder / "merged").exists():
        raise Stopped(f"stopped in stage {stage.name}; the same command goes on from the last checkpoint")


def _fit_with_progress(plan: Any, say: Say) -> None:
    """Run the workers to their end, or to the checkpoint that Ctrl-C asks for; the progress line meanwhile."""
    from train.backends.peft.loop import STOP
    from train.backends.peft.training_log import ProgressLine

    failures: list[BaseException] = []
    # An event, for a `Thread.join` that Ctrl-C interrupts takes the thread for ended (Python 3.11).
    ended = threading.Event()
    threading.Thread(target=_run_workers, args=(plan, failures, ended), daemon=True).start()
    with ProgressLine(plan.folder, plan.steps, say) as line:
        while not ended.is_set():
            try:
                ended.wait(LOOK_EVERY_S)
                line.show_last_step()
            except KeyboardInterrupt:
                say("stopping: the workers write a checkpoint first")
                (plan.folder / STOP).touch()
    if failures:
        raise RefusedRun(explain_failure(failures[0])) from None


def _run_workers(plan: Any, failures: list[BaseException], ended: threading.Event) -> None:
    """Train to the end; what goes wrong is left in ``failures`` for the driver's main thread."""
    try:
        _make_ray_trainer(plan).fit()
    except Exception as error:
        failures.append(error)
    finally:
        ended.set()


def _make_ray_trainer(plan: Any) -> Any:
    import ray.train
    from ray.train.torch import TorchTrainer

    from train.backends.peft.loop import training_loop

    return TorchTrainer(
        training_loop,
        train_loop_config={"plan": plan},
        scaling_config=ray.train.ScalingConfig(num_workers=plan.train.workers, use_gpu=plan.train.use_gpu),
        run_config=ray.train.RunConfig(
            name="ray",
            storage_path=str(plan.folder),
            failure_config=ray.train.FailureConfig(max_failures=FAILURES),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
            # Threads that wait by spinning take the cores from those that work.
            worker_runtime_env={"env_vars": {} if plan.train.use_gpu else {"OMP_WAIT_POLICY": "PASSIVE"}},
        ),
    )


def explain_failure(error: BaseException) -> str:
    """One line on why training failed: a worker's refusal in its own words, else the kind of its error alone."""
    failed = list(getattr(error, "worker_failures", {}).values()) or [getattr(error, "controller_failure", error)]
    causes = [getattr(failure, "_base_exc", failure) for failure in failed]
    for cause in causes:
        if isinstance(cause, RefusedRun):
            return str(cause)
    # The messages of other errors may quote a sample.
    return f"training failed: {type(causes[0]).__name__} in a worker; Ray's own logs hold the traceback"
