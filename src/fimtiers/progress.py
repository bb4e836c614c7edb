"""Progress of long loops, in the job's log: what is done, how long it took, how long is left."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield from `items`, logging progress at most every ten seconds.

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
        if now - last >= SECONDS_BETWEEN_LINES or done == total:
            left = (now - start) / done * (total - done)
            logger.info(
                "%d of %d %s, %.0f s gone, %.0f s left", done, total, what, now - start, left
            )
            last = now
