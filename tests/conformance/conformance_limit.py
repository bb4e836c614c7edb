"""A limit of time, so that a loop without end is a failure."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _TimeUpError(BaseException):
    """Passes by everything that catches ordinary exceptions."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Fail if what runs inside takes more than some seconds of CPU time of this process."""

    def stop(*_: Any) -> None:
        raise _TimeUpError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    except _TimeUpError:
        where = sys.exc_info()[2]
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        code = where.tb_frame.f_code if where else None
        raise AssertionError(f"no end after {seconds} s of CPU time, in {code}") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
