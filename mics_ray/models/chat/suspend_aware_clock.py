"""Time that this process was awake, for our deadlines: a stopped process or a frozen machine uses none of it up.

What a call waits for may have come while nobody here could look. A provider's quota goes by the loop's own clock: time
passes there too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
    if loop not in _clocks:
        _clocks[loop] = _Clock()
    return _clocks[loop].time()


@asynccontextmanager
async def awake_timeout(seconds: float) -> AsyncIterator[None]:
    """Like :func:`asyncio.timeout`, raising :class:`TimeoutError` after so many seconds awake."""
    loop, due = asyncio.get_running_loop(), awake_time() + seconds
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        if (left := due - awake_time()) > 0:
            timer = loop.call_later(left, look)
        else:
            scope.reschedule(loop.time())

    async with asyncio.timeout(None) as scope:
        timer = loop.call_later(seconds, look)
        try:
            yield
        finally:
            timer.cancel()
