"""Forms of gradients whose axes come in another order, or flattened, than those of the tensor."""

from dataclasses import dataclass

from torch import Tensor

from fimtiers.fisher.forms import Form
from fimtiers.fisher.squares import Scaler


@dataclass(frozen=True)
class Placed:
    """A form with its axes put where the tensor has them.

    Attributes
    ----------
    form
        Gradients of shape (sample, …), whose other axes may be flattened.
    sizes
        Lengths of the tensor's axes in the order of `form`.
    order
        Permutation from that order to the tensor's own.
    """

    form: Form
    sizes: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.form.samples

    def squares(self, scaler: Scaler) -> tuple[Tensor, int]:
        """Return Σ_n G_n² / 4^k and k."""
        total, exponent = self.form.squares(scaler)
        return total.reshape(self.sizes).permute(self.order), exponent

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        gradients = self.form.gradients(start, stop).reshape(-1, *self.sizes)
        return gradients.permute(0, *(axis + 1 for axis in self.order))
