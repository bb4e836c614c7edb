"""Remembers where samples are, so that later batches need no labelled passes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fimtiers.fisher.layout import Block
from fimtiers.fisher.tape import Site


class KnownLayouts:
    """Layouts of earlier batches, for operations that come again."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], list[_Found]] = {}

    def recall(self, sites: Sequence[Site], samples: int) -> list[Site]:
        """Fill in known layouts; return the sites that are left without."""
        return [
            site
            for site, place in _places(sites)
            if site.gathered or not self._fill_in(site, place, samples)
        ]

    def remember(self, sites: Sequence[Site], samples: int, guessed: Collection[Site]) -> None:
        """Keep the layouts of sites; those of `guessed` are but read off shapes."""
        for site, place in _places(sites):
            if not isinstance(site.layout, Block) or site.gathered:
                continue
            if site.ambiguous and site not in guessed:
                continue  # asked again, with other gradients
            shape = _per_sample(site.shape, site.layout, samples)
            unproved = samples if site in guessed else 0
            self._found.setdefault(place, []).append(_Found(site.layout, shape, unproved))

    def _fill_in(self, site: Site, place: tuple[Any, ...], samples: int) -> bool:
        for found in self._found.get(place, ()):
            if found.fits(site, samples):
                site.layout = found.layout
                found.unproved = 0
                return True
        return False


@dataclass
class _Found:
    """A layout with the shape that one sample has under it.

    A guess made at `unproved` samples proves nothing there: another axis may be as long by chance,
    and the check may have met samples that are alike. That the axis grows with the number of
    samples, that the others stay, and that the shape shows the samples again, is proof.
    """

    layout: Block
    shape: tuple[int, ...]
    unproved: int

    def fits(self, site: Site, samples: int) -> bool:
        """Return whether a site is of the same kind."""
        return (
            samples != self.unproved
            and (not self.unproved or site.evident)
            and _per_sample(site.shape, self.layout, samples) == self.shape
        )


def _places(sites: Sequence[Site]) -> Iterator[tuple[Site, tuple[Any, ...]]]:
    """Yield each site with what identifies it: its key, how often that was seen, and the moves."""
    seen: dict[tuple[str, ...], int] = {}
    for site in sites:
        number = seen.get(site.key, 0)
        seen[site.key] = number + 1
        yield site, (site.key, number, site.moves)


def _per_sample(shape: torch.Size, layout: Block, samples: int) -> tuple[int, ...]:
    """Return the shape that one sample has, or an impossible one if it does not divide."""
    if layout.axis >= len(shape) or shape[layout.axis] % samples:
        return (-1,)
    axis = layout.axis
    return (*shape[:axis], shape[axis] // samples, *shape[axis + 1 :])
