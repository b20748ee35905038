import os
import signal

import pytest

from mics_ray.errors import EXIT_STOPPED, Stopped
from mics_ray.jobs.stop_signal import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_wish_first_and_an_end_the_second_time(number: int) -> None:
    before = signal.getsignal(number)
    stop = StopSignal()
    with stop.handle_signals():
        stop.raise_if_asked()
        os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(Stopped, match="the same command goes on") as told:
            stop.raise_if_asked()
        assert told.value.code == EXIT_STOPPED
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_it_interrupts_what_only_reads_and_waits_where_that_is_deferred() -> None:
    stop = StopSignal()
    with stop.handle_signals(), stop.raise_on_signal():
        woken: list[bool] = []
        with stop.defer_stop(lambda: woken.append(stop.asked)):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        assert woken == [True]
    stop = StopSignal()
    with stop.handle_signals():
        with pytest.raises(Stopped), stop.raise_on_signal():
            os.kill(os.getpid(), signal.SIGTERM)
        stop.asked = False
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.asked
