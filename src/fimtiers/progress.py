"""Progress of long loops, in the job's log: what is done, how long it took, how long is left."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0
BAR_WIDTH = 30  # characters


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield from `items`, logging progress at most every ten seconds.

    Whole lines, and not one line that is drawn again and again: several jobs share a terminal.

    Parameters
    ----------
    items
        What to loop over.
    total
        How many items there are.
    what
        Plural noun for the log: ``steps``, ``sweeps``, ``probes``.
    """
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            left = (now - start) / done * (total - done)
            bar = _bar(done / total)
            text = f"{bar} {done} of {total} {what}, {now - start:.0f} s gone, {left:.0f} s left"
            logger.info(text, extra={"bar": bar})
            last = now
    logger.info("%d %s in %.1f s", total, what, time.monotonic() - start)


def _bar(share: float) -> str:
    full = int(share * BAR_WIDTH)
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}]"
