"""Why something was done, in the few words that a route has room for."""

import re

MOST = 120
"""Longest reason, characters."""


def in_short(error: Exception, most: int = MOST) -> str:
    """Return the first sentence of what an error says, or its kind if it says nothing.

    Parameters
    ----------
    error
        Its message may be a page long.
    most
        Number of characters that are kept.
    """
    text = str(error).strip()
    if not text:
        return type(error).__name__
    first = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text.splitlines()[0], maxsplit=1)[0].rstrip(".")
    return first if len(first) <= most else f"{first[: most - 1]}…"
