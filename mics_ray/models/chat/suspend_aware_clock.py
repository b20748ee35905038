"""Time that this process was awake, for our deadlines: a stopped process or a frozen machine uses none of it up.

What a call waits for may have come while nobody here could look. A provider's quota goes by the loop's own clock: time
passes there too.
"""

import asyncio
from types import TracebackType
from weakref import WeakKeyDictionary

TICK_S = 0.5
MOST_S = 2 * TICK_S
"""What the time between two ticks counts at most: a busy loop's lateness is no sleep, an hour's sleep is this long."""


class _Clock:
    """Adds up the time between ticks; holds no loop, so that a closed one is forgotten."""

    def __init__(self) -> None:
        self._counted = 0.0
        self._ticked = asyncio.get_running_loop().time()
        self._tick()

    def time(self) -> float:
        return self._counted + min(asyncio.get_running_loop().time() - self._ticked, MOST_S)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._counted, self._ticked = self.time(), loop.time()
        loop.call_later(TICK_S, self._tick)


_clocks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clock] = WeakKeyDictionary()


def awake_time() -> float:
    """Seconds awake, from an arbitrary moment on, the same for everybody in the running loop."""
    loop = asyncio.get_running_loop()
    clock = _clocks.get(loop)
    if clock is None:
        clock = _clocks[loop] = _Clock()
    return clock.time()


class AwakeTimeout:
    """Like :func:`asyncio.timeout`, raising :class:`TimeoutError` after so many seconds awake.

    A class, for every call enters one: a generator's context costs twice as much.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._scope = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        """Start the deadline."""
        self._due = awake_time() + self._seconds
        self._loop = asyncio.get_running_loop()
        await self._scope.__aenter__()
        self._timer = self._loop.call_later(self._seconds, self._look)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it. Raises :class:`TimeoutError` where it has passed."""
        self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def _look(self) -> None:
        if (left := self._due - awake_time()) > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._scope.reschedule(self._loop.time())
