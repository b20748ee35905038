"""A worker's handle on an endpoint actor.

Calls travel in batches: what has gathered while the last message was under way goes as one; see
:mod:`mics_ray.runtime.driver.endpoint_actor`.
"""

import asyncio
import itertools
import uuid
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError

from mics_ray.core.types import Failure
from mics_ray.models.types import LostCall, Pictures, Refused, Reply, Request
from mics_ray.runtime.serving.picture_refs import PictureRefs

GATHER_S = 0.01
"""How long a message waits for more calls after the first: its own CPU is that of a call."""
EndpointAnswer = Reply | Failure | Refused


@dataclass(frozen=True, slots=True)
class EndpointCall:
    """One request under way: ``ticket`` is unique per client; ``pictures`` lie in the object store."""

    ticket: int
    request: Request
    pictures: "ray.ObjectRef[Pictures] | None"


class RemoteEndpoint:
    """A worker's handle on an endpoint actor; a :class:`mics_ray.models.types.Model`. One per worker and provider.

    When the actor dies, Ray restarts it and every call without an answer is sent again; what was paid is in its cache.
    """

    def __init__(self, actor: Any, pictures: PictureRefs) -> None:
        self._actor, self._pictures = actor, pictures
        # Not the worker's name: what a lost worker still waits for is not its successor's, whose tickets begin anew.
        self._client = uuid.uuid4().hex
        self._tickets = itertools.count()
        self._waiting: dict[int, tuple[EndpointCall, asyncio.Future[Reply]]] = {}
        self._outbox: list[EndpointCall] = []
        self._sender: asyncio.Task[None] | None = None
        self._receiver: asyncio.Task[None] | None = None

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :class:`mics_ray.models.types.Model`."""
        call = EndpointCall(next(self._tickets), request, self._pictures.put_once(pictures))
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[call.ticket] = (call, future)
        self._outbox.append(call)
        self._start_tasks()
        try:
            return await future
        finally:
            self._waiting.pop(call.ticket, None)

    def _start_tasks(self) -> None:
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_batches())
        if self._receiver is None or self._receiver.done():
            self._receiver = asyncio.create_task(self._receive_answers())

    async def _send_batches(self) -> None:
        """Send what has gathered, one message at a time."""
        await asyncio.sleep(GATHER_S)
        while self._outbox:
            batch, self._outbox = self._outbox, []
            try:
                await self._actor.submit.remote(self._client, batch)
            except RayActorError:
                await self._resend_calls()

    async def _receive_answers(self) -> None:
        """Fetch answers for as long as anybody waits."""
        while self._waiting:
            try:
                answers = await self._actor.collect.remote(self._client)
            except RayActorError:
                await self._resend_calls()
                continue
            for ticket, answer, text in answers:
                # An answer may come twice after a restart, or for a caller that has been cancelled.
                if ticket in self._waiting and not (future := self._waiting[ticket][1]).done():
                    _resolve_future(future, answer, text)

    async def _resend_calls(self) -> None:
        """The actor died: send everything again that still waits; Ray delivers it when the restart is done."""
        await asyncio.sleep(0.2)  # calls to an actor that restarts fail at once: do not spin
        self._outbox = [call for call, future in self._waiting.values() if not future.done()]
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_batches())


def _resolve_future(future: "asyncio.Future[Reply]", answer: EndpointAnswer, text: str) -> None:
    if isinstance(answer, Reply):
        future.set_result(answer)
    elif isinstance(answer, Refused):
        future.set_exception(answer)
    else:
        future.set_exception(LostCall(answer, text))
