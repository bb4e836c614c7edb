"""Parameters that cannot act on the output, whose estimated F is nothing but rounding error."""

from dataclasses import replace

import numpy as np

from fimtiers.records import FisherDiagonal


def zero_role(fisher: FisherDiagonal, role: str) -> FisherDiagonal:
    """Return the diagonal with F = 0, its exact value, for all parameters of one role.

    Parameters
    ----------
    fisher
        An estimate of F.
    role
        Role of parameters to which the output is invariant, such as ``key_bias``.

    Raises
    ------
    ValueError
        If no tensor has that role.
    """
    tensors = fisher.tensors
    if role not in {tensor.role for tensor in tensors}:
        present = sorted({tensor.role for tensor in tensors})
        raise ValueError(f"no parameter has the role {role!r}; present: {', '.join(present)}")
    chosen = np.repeat([t.role == role for t in tensors], [t.size for t in tensors])
    partial = {probes: np.where(chosen, 0.0, fim) for probes, fim in fisher.partial.items()}
    return replace(fisher, fim=np.where(chosen, 0.0, fisher.fim), partial=partial)
