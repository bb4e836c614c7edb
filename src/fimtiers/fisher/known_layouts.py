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

    def remember(self, sites: Sequence[Site], samples: int, unproved: Collection[Site]) -> None:
        """Keep the layouts of sites; those of `unproved` are but guesses from shapes."""
        for site, place in _places(sites):
            if isinstance(site.layout, Block) and not site.gathered:
                shape = _per_sample(site.shape, site.layout, samples)
                needs_other = samples if site in unproved else 0
                self._found.setdefault(place, []).append(_Found(site.layout, shape, needs_other))

    def _fill_in(self, site: Site, place: tuple[Any, ...], samples: int) -> bool:
        for found in self._found.get(place, ()):
            if found.fits(site.shape, samples):
                site.layout = found.layout
                return True
        return False


@dataclass(frozen=True)
class _Found:
    """A layout with the shape that one sample has under it.

    That the axis grows with the number of samples and the others stay is proof of a guess, so
    one made at `unproved` samples holds for any other number.
    """

    layout: Block
    shape: tuple[int, ...]
    unproved: int

    def fits(self, shape: torch.Size, samples: int) -> bool:
        """Return whether a tensor of this shape is of the same kind."""
        return samples != self.unproved and _per_sample(shape, self.layout, samples) == self.shape


def _places(sites: Sequence[Site]) -> Iterator[tuple[Site, tuple[Any, ...]]]:
    """Yield each site with what identifies it: its key, and how often that was seen before."""
    seen: dict[tuple[str, ...], int] = {}
    for site in sites:
        number = seen.get(site.key, 0)
        seen[site.key] = number + 1
        yield site, (site.key, number)


def _per_sample(shape: torch.Size, layout: Block, samples: int) -> tuple[int, ...]:
    """Return the shape that one sample has, or an impossible one if it does not divide."""
    if layout.axis >= len(shape) or shape[layout.axis] % samples:
        return (-1,)
    axis = layout.axis
    return (*shape[:axis], shape[axis] // samples, *shape[axis + 1 :])
