"""Counts the operations in which each parameter was seen, for the routes of a result."""

from collections.abc import Sequence


class Operations:
    """For each parameter the operations it was used in, as often as at most in one batch."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._patterns: set[tuple[tuple[str, ...], ...]] = set()

    def note(self, uses: Sequence[tuple[tuple[str, ...], Sequence[str]]]) -> None:
        """Take notice of a batch.

        Parameters
        ----------
        uses
            The key of each operation, its name first, and the parameters that were used.
        """
        pattern = tuple([key for key, _ in uses])
        if pattern in self._patterns:
            return
        self._patterns.add(pattern)
        counts: dict[str, dict[str, int]] = {}
        for (operation, *_), names in uses:
            for name in names:
                own = counts.setdefault(name, {})
                own[operation] = own.get(operation, 0) + 1
        for name, own in counts.items():
            most = self._counts.setdefault(name, {})
            for operation, number in own.items():
                most[operation] = max(number, most.get(operation, 0))

    def of(self, name: str) -> str:
        """Return the operations of a parameter, such as ``linear``, ``linear × 3``, ``unused``."""
        counts = sorted(self._counts.get(name, {}).items())
        return ", ".join([op if n == 1 else f"{op} × {n}" for op, n in counts]) or "unused"
