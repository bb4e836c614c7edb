"""Counts the operations in which each parameter was seen, for the routes of a result."""

from collections.abc import Sequence

from fimtiers.fisher.tape import Site


class Operations:
    """For each parameter the operations it was used in, as often as at most in one batch."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._patterns: set[tuple[tuple[str, ...], ...]] = set()

    def note(self, sites: Sequence[Site]) -> None:
        """Take notice of the sites of a batch."""
        pattern = tuple([site.key for site in sites])
        if pattern in self._patterns:
            return
        self._patterns.add(pattern)
        counts: dict[str, dict[str, int]] = {}
        for site in sites:
            for tracked, _ in site.uses:
                for root in tracked.roots:
                    uses = counts.setdefault(root, {})
                    uses[site.key[0]] = uses.get(site.key[0], 0) + 1
        for name, uses in counts.items():
            most = self._counts.setdefault(name, {})
            for operation, number in uses.items():
                most[operation] = max(number, most.get(operation, 0))

    def of(self, name: str) -> str:
        """Return the operations of a parameter, such as ``linear``, ``linear × 3``, ``unused``."""
        counts = sorted(self._counts.get(name, {}).items())
        return ", ".join([op if n == 1 else f"{op} × {n}" for op, n in counts]) or "unused"
