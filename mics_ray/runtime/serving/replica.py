"""The actor around one model's engine: answers in batches, keeps replies, replaces itself when its engine dies."""

import asyncio
import logging
import os
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ray
from ray.exceptions import RayError

from mics_ray.config.schema import ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.start_failure import explain_failure
from mics_ray.models.engine.vllm_engine import EngineDead, VllmEngine
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Failure, LostCall, Model, Pictures, Reply, Request
from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.logs import OutputFile, log_into_folder, write_output_into
from mics_ray.runtime.serving.replica_state import ENGINE, ENGINE_DEAD, LEAVING, ReplicaAnswer
from mics_ray.runtime.serving.weights import locate_weights

log = logging.getLogger(__name__)

KEPT_PICTURES = 256
"""Cases whose pictures a process keeps at hand; a case's requests come within minutes of each other."""
FAILURES_IN_A_ROW = 3
"""After so many engine failures without a reply between them a replica replaces itself."""
EXIT_DELAY_S = 0.5
"""Time for replies to leave before the process exits."""
_SECRET_ENDINGS = ("_API_KEY", "_TOKEN", "_SECRET", "_SECRET_KEY", "_SECRET_ACCESS_KEY", "_PASSWORD")


class ReplicaEngine(Model, Protocol):
    """A model in this process that can be probed; it counts its prompts' tokens and those from its prefix cache."""

    prompt_tokens: int
    prefix_hits: int

    async def probe(self) -> None:
        """Generate one token. Raises :class:`EngineDead`."""
        ...


StartEngine = Callable[[ModelConfig, bool], Awaitable[ReplicaEngine]]


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """Which process a replica is, and which GPUs it sees (``CUDA_VISIBLE_DEVICES``)."""

    pid: int
    node: str
    gpus: str


async def start_vllm(config: ModelConfig, on_gpu: bool) -> ReplicaEngine:
    """Start vLLM's engine on weights that lie on this node. Raises :class:`RefusedRun`."""
    engine = await VllmEngine.start(await locate_weights(config), on_gpu)
    log.info("%s: its prefix cache holds %d tokens", config.model, engine.cache_tokens)
    return engine


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """Everything that an :class:`ModelReplica` is made from; without folders it keeps no replies and writes no log."""

    name: str
    number: int
    config: ModelConfig
    on_gpu: bool
    cache_folder: str | None = None
    log_folder: str | None = None
    start: StartEngine = start_vllm


def secret_names(environ: Iterable[str], configured: Iterable[str] = ()) -> list[str]:
    """The environment variables to keep from replicas: those named in the configuration and those that look secret.

    Ray's own stay: they let the process into the cluster.
    """
    looks = {name for name in environ if name.upper().endswith(_SECRET_ENDINGS) and not name.startswith("RAY_")}
    return sorted(looks | set(configured))


class ModelReplica:
    """The actor. It replaces itself, by ending its process, when its engine is beyond repair."""

    def __init__(self, spec: ReplicaSpec) -> None:
        # Blank already, by the actor's runtime_env; gone, so that no library takes an empty key for one.
        for name in secret_names(os.environ):
            del os.environ[name]
        self._output: OutputFile | None = None
        if spec.log_folder:
            log_into_folder(Path(spec.log_folder), f"replica-{spec.name}-{spec.number}")
            self._output = write_output_into(Path(spec.log_folder), f"engine-{spec.name}-{spec.number}")
        self._spec = spec
        self._engine: asyncio.Task[ReplicaEngine] | None = None
        self._pictures: OrderedDict[str, asyncio.Future[Pictures]] = OrderedDict()
        self._cache = _open_store(spec)
        self._failures = 0
        self._leaving = False
        self._open = 0
        self._meters = metrics.RunMetrics(metrics.run_name(spec.cache_folder or "/"), self._set_gauges).start()

    async def ready(self) -> None:
        """Return when the engine has loaded. Raises :class:`RefusedRun` where it does not, and the process ends."""
        if self._leaving:
            await asyncio.Event().wait()  # never: the caller hears of the death instead, and asks the next process
        await self._await_engine()

    async def read_facts(self) -> ReplicaFacts:
        """Where this replica runs."""
        return ReplicaFacts(
            os.getpid(), ray.get_runtime_context().get_node_id(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
        )

    async def probe(self) -> None:
        """Generate one token."""
        try:
            await (await self._await_engine()).probe()
        except EngineDead:
            self._end_process("its engine is dead")
            raise

    async def generate(self, requests: list[Request], pictures: list["ray.ObjectRef[Pictures]"]) -> list[ReplicaAnswer]:
        """Answer requests that share their pictures (no reference or one), in order."""
        engine = await self._await_engine()
        shown = await self._fetch_once(requests[0].pictures, pictures[0]) if pictures else None
        self._open += len(requests)
        try:
            answers = await asyncio.gather(*(self._generate_reply(engine, request, shown) for request in requests))
        finally:
            self._open -= len(requests)
        for answer in answers:
            self._count_answer(answer)
        return answers

    async def try_request(
        self, request: Request, pictures: list["ray.ObjectRef[Pictures]"]
    ) -> tuple[str, Failure | None]:
        """Answer a request, past the kept replies: this machine's name, and why the engine cannot."""
        engine, host = await self._await_engine(), socket.gethostname()
        shown = await self._fetch_once(request.pictures, pictures[0]) if pictures else None
        try:
            await engine.complete(request, shown)
        except EngineDead:
            self._end_process("its engine is dead")
            return host, Failure(ENGINE_DEAD, "the engine died")
        except LostCall as lost:
            return host, lost.failure
        except Exception as error:  # its message may quote the prompt
            return host, Failure(ENGINE, f"unexpected {type(error).__name__}")
        return host, None

    async def _await_engine(self) -> ReplicaEngine:
        if self._engine is None:
            self._engine = asyncio.ensure_future(self._spec.start(self._spec.config, self._spec.on_gpu))
        try:
            return await asyncio.shield(self._engine)  # one caller that gives up must not stop the loading for all
        except Exception as error:
            self._end_process("its engine did not start", error)
            # No text of a case is near while an engine starts.
            written = self._output.read() if self._output else ""
            said = str(error) if isinstance(error, RefusedRun) else explain_failure(error, written)
            raise RefusedRun(f"{self._spec.name} on {socket.gethostname()}: {said}") from None

    async def _fetch_once(self, digest: str, reference: "ray.ObjectRef[Pictures]") -> Pictures:
        """Fetch a case's pictures once for all its requests."""
        known = self._pictures
        if digest not in known:
            known[digest] = asyncio.ensure_future(_fetch_pictures(reference))
            while len(known) > KEPT_PICTURES:
                known.popitem(last=False)
        known.move_to_end(digest)
        try:
            return await asyncio.shield(known[digest])  # other requests of the case wait for the same fetch
        except RayError:
            known.pop(digest, None)  # the object's owner died; a later request brings another reference
            raise

    async def _generate_reply(
        self, engine: ReplicaEngine, request: Request, pictures: Pictures | None
    ) -> ReplicaAnswer:
        """One reply, from the cache where it has one; whatever goes wrong is data."""
        if self._cache and (kept := self._cache.find_reply(request.key)):
            return kept
        try:
            reply = await engine.complete(request, pictures)
        except EngineDead:
            self._end_process("its engine is dead")
            return LostCall(Failure(ENGINE_DEAD, "the engine died"))
        except LostCall as lost:
            return self._note_failure(lost)
        except Exception as error:
            # Its message may quote the prompt.
            return self._note_failure(LostCall(Failure(ENGINE, f"unexpected {type(error).__name__}")))
        self._failures = 0  # in a row only: a bad request now and then is no sick engine
        await self._store_reply(request, reply)
        return reply

    def _count_answer(self, answer: ReplicaAnswer) -> None:
        if isinstance(answer, Reply):
            self._meters.count_reply(self._spec.name, answer)
        else:
            self._meters.add_count(metrics.CALLS, 1, self._spec.name, answer.failure.kind)

    def _set_gauges(self, meters: metrics.RunMetrics) -> None:
        """What is looked up once a second."""
        name = self._spec.name
        meters.set_level(metrics.REPLICA_REQUESTS, self._open, name, str(self._spec.number))
        if self._engine is not None and self._engine.done() and not self._engine.exception():
            engine = self._engine.result()
            meters.set_total(metrics.PREFIX_TOKENS, engine.prompt_tokens, name, "seen")
            meters.set_total(metrics.PREFIX_TOKENS, engine.prefix_hits, name, "hit")

    async def _store_reply(self, request: Request, reply: Reply) -> None:
        """Store a reply; where that fails it only means that a resumed run generates it again."""
        if not self._cache:
            return
        try:
            await self._cache.store_reply(request.key, request.model, reply)
        except OSError as error:
            log.warning("%s: replies are not kept any more (%s)", self._spec.name, error)
            self._cache = None

    def _note_failure(self, lost: LostCall) -> LostCall:
        """What is said of a failure; one that makes the process end, or comes after, is not the request's fault."""
        if lost.failure.kind == ENGINE:
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                self._end_process(f"{self._failures} failures in a row")
            if self._leaving:
                return LostCall(Failure(LEAVING, "the replica is being replaced"))
        return lost

    def _end_process(self, reason: str, error: Exception | None = None) -> None:
        """End the process once the replies are out; Ray starts another. An ``error`` must hold no text of a case."""
        if not self._leaving:
            self._leaving = True
            said = "%s, replica %d ends its process: %s"
            log.error(said, self._spec.name, self._spec.number, reason, exc_info=error)
            # Not `sys.exit`: a dead engine's threads may keep an interpreter that ends in order from ending.
            asyncio.get_running_loop().call_later(EXIT_DELAY_S, os._exit, 1)


def _open_store(spec: ReplicaSpec) -> ReplyStore | None:
    if not spec.cache_folder:
        return None
    kin = f"replica-{spec.name}-"
    return ReplyStore(Path(spec.cache_folder), f"{kin}{spec.number}", kin=kin)


async def _fetch_pictures(reference: "ray.ObjectRef[Pictures]") -> Pictures:
    pictures: Pictures = await reference
    return pictures
