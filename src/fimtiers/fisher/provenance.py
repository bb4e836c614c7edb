"""Tells tensors made of parameters alone from those that samples went into.

Raw data need no gradient, so an operation on a parameter and another tensor does not show whether
that tensor holds samples or is a constant of the model. The number of samples shows it: what is
made of parameters alone has the same shape for one sample as for two, and is made as often.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fimtiers.fisher.tracked import Tracked


@dataclass(frozen=True)
class Derivation:
    """An operation that seems to make tensors of parameters alone.

    Attributes
    ----------
    key
        Name of the operation and labels of its tracked arguments.
    parents
        The tracked arguments.
    results
        What it made.
    alone
        Whether no other tensor was among its arguments.
    """

    key: tuple[str, ...]
    parents: Sequence[Tracked]
    results: Sequence[Tracked]
    alone: bool

    @property
    def shapes(self) -> list[torch.Size]:
        """Shapes of what it made."""
        return [result.value.shape for result in self.results]


def where_samples_enter(
    alone: Sequence[Derivation], together: Sequence[Derivation]
) -> set[tuple[str, ...]]:
    """Return the keys of the first operations whose results depend on the number of samples.

    Parameters
    ----------
    alone
        Derivations of a forward pass with one sample, in order.
    together
        Those with two samples, of which the first is that one.
    """
    expected: defaultdict[tuple[str, ...], list[list[torch.Size]]] = defaultdict(list)
    for made in alone:
        expected[made.key].append(made.shapes)
    seen: Counter[tuple[str, ...]] = Counter()
    found: set[tuple[str, ...]] = set()
    of_samples: set[Tracked] = set()
    for made in together:
        inherited = not of_samples.isdisjoint(made.parents)
        number = seen[made.key]
        # The same may be made of parameters again for each sample.
        fitting = expected[made.key] if made.alone else expected[made.key][number : number + 1]
        if inherited or made.shapes not in fitting:
            of_samples.update(made.results)
            if not inherited:
                found.add(made.key)
        seen[made.key] += 1
    return found
