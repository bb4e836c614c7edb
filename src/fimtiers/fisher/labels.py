"""Labelled backward passes, which show where samples are; see `fimtiers.fisher.layout`."""

from collections.abc import Sequence

from torch import Tensor

from fimtiers.fisher.interception import Interception
from fimtiers.fisher.layout import find_layout, fits, label_weights
from fimtiers.fisher.tape import Site


class Labels:
    """Gradients of the loss with each sample weighted by a power of two.

    What they are compared with is the gradient of the plain loss. If there is one backward pass,
    that is the one whose gradients are squared anyway.

    Parameters
    ----------
    interception
        After a forward pass.
    losses
        One per backward pass, shape (sample,).
    sites
        Where samples are to be found.
    samples
        Number of samples.

    Attributes
    ----------
    mixed
        Sites that turned out to hold several samples in one place.
    as_expected
        Sites that hold all samples where the operation itself put them.
    """

    def __init__(
        self,
        interception: Interception,
        losses: Sequence[Tensor],
        sites: Sequence[Site],
        samples: int,
    ) -> None:
        # Different factors, lest the gradients of several passes cancel.
        total = sum((1 + k / len(losses)) * loss for k, loss in enumerate(losses))
        assert isinstance(total, Tensor)
        self.weights = label_weights(samples, total.detach())
        self.samples = samples
        self.mixed: list[Site] = []
        self.as_expected: set[Site] = set()
        self._expected = interception.expected
        self._arrived: dict[Site, list[Tensor]] = {site: [] for site in sites}
        gathered_only = all(site.gathered for site in sites)

        def store(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            if site in self._arrived:
                self._arrived[site].append(gradient)

        def compare(site: Site, gradient: Tensor, saved: tuple[Tensor, ...]) -> None:
            if site in self._arrived:
                self.locate(site, gradient)

        for weight in self.weights:
            interception.backward((weight * total).sum(), store, gathered_only=gathered_only)
        if len(losses) > 1:
            interception.backward(total.sum(), compare, gathered_only=gathered_only)

    def locate(self, site: Site, gradient: Tensor) -> bool:
        """Fill in the layout of a site; return False if no gradient reaches it or samples mix."""
        if not bool(gradient.any()):
            return False
        labelled = self._arrived.pop(site, [])
        if labelled:
            expected = self._expected.get(site)
            if expected and fits(expected, gradient, labelled, self.weights, self.samples):
                site.layout = expected
                self.as_expected.add(site)
                return True
            gathered = site.gathered
            site.layout, site.ambiguous = find_layout(
                gradient, labelled, self.weights, self.samples, gathered
            )
        if site.layout is None:
            self.mixed.append(site)
        return site.layout is not None
