"""Several uses of one tensor as one form, where no sample's gradient need be held for that.

Uses of one kind are one use with more summands. The tied matrix of a language model is used in
two ways: as the weight of its head, and as the table in which tokens are looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fimtiers.fisher.forms import Dense, Form, Outer, Scatter
from fimtiers.fisher.kernel import row_blocks
from fimtiers.fisher.squares import Scaler, add_outer_squares
from fimtiers.fisher.sums import Part
from fimtiers.fisher.tracked import Tracked

LOOKED_UP_BYTES = 64 << 20
"""Gradients of rows that samples looked up exist for so many samples at a time."""


@dataclass(frozen=True)
class Tied:
    """Gradient of a table that is also the weight of a head, G_n = H_n + S_n.

    In the rows that sample n did not look up it is H_n alone. There the squares are those of any
    head, of which the other rows are left out; in these, which are few, H_n + S_n is formed and
    squared. So all that is added is a square, and no small one is a difference of large ones.

    Attributes
    ----------
    head
        H_n, the sum over tokens of left ⊗ right, in one group.
    table
        S_n.
    """

    head: Outer
    table: Scatter

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.table.samples

    def add_squares(self, part: Part, scaler: Scaler) -> None:
        """Add Σ_n G_n² to sums."""
        if not bool(self.table.rows.any()):
            self.head.add_squares(part, scaler)
            return
        words, features = self._sides()
        sample, row = self._add_looked_up(part, scaler)
        row, order = torch.sort(row)
        sample = sample[order]
        for some in row_blocks(words):
            block = _copy(words[:, :, some])
            begin, end = torch.searchsorted(row, row.new_tensor([some.start, some.stop])).tolist()
            block[sample[begin:end], :, row[begin:end] - some.start] = 0
            others = part.of(part.view[some].unsqueeze(0))
            add_outer_squares(others, block.unsqueeze(2), features.unsqueeze(2), scaler)

    def gradients(self, start: int, stop: int) -> Tensor:
        """Return G_n of some samples."""
        return self.head.gradients(start, stop) + self.table.gradients(start, stop)

    def _sides(self) -> tuple[Tensor, Tensor]:
        """Return what is per row of the table and what is per column, (sample, token, length)."""
        left, right = self.head.left[:, :, 0], self.head.right[:, :, 0]
        return (left, right) if self.head.order == (0, 1) else (right, left)

    def _add_looked_up(self, part: Part, scaler: Scaler) -> tuple[Tensor, Tensor]:
        """Add the squares of the rows that each sample looked up; return samples and rows."""
        words, features = self._sides()
        exponents = scaler.exponent(words), scaler.exponent(features)
        own = scaler.exponent(self.table.rows)
        common = max(own, sum(exponents)) if bool(words.any()) else own
        found: list[tuple[Tensor, Tensor]] = []
        tokens, size = self.table.index.shape[1], features.element_size()
        each = tokens * (words.shape[1] + features.shape[2])
        chunk = max(1, LOOKED_UP_BYTES // max(1, size * each))
        for start in range(0, self.samples, chunk):
            some = slice(start, start + chunk)
            table = Scatter(self.table.rows[some], self.table.index[some], self.table.length)
            met = table.met()
            index = table.index.clamp(min=0)
            picked = words[some].gather(2, index.unsqueeze(1).expand(-1, words.shape[1], -1))
            left = _scaled(picked, exponents[0]).transpose(1, 2)
            heads = left @ _scaled(features[some], exponents[1])
            gradients = met.first(heads) * 2.0 ** (sum(exponents) - common)
            gradients += met.summed(_scaled(table.rows, own)) * 2.0 ** (own - common)
            part.add_rows(met.row, gradients.square_(), common)
            found.append((met.sample + start, met.row))
        samples, rows = zip(*found, strict=True)
        return torch.cat(samples), torch.cat(rows)


def merged(uses: Sequence[tuple[Tracked, Form]]) -> tuple[Tracked, Form] | None:
    """Return the uses as one form, or None if they are of other elements or do not fit together."""
    tables = [tracked for tracked, form in uses if isinstance(form, Scatter)]
    tracked = (tables or [tracked for tracked, _ in uses])[0]
    if tracked.sums is None:
        return None
    forms = [_aligned(form, other.sums, tracked.sums) for other, form in uses]
    kinds: dict[type[Form], list[Form]] = {}
    for form in forms:
        if form is None:
            return None
        kinds.setdefault(type(form), []).append(form)
    found = [_joined(own) for own in kinds.values()]
    if len(found) == 1 and found[0] is not None:
        return tracked, found[0]
    if kinds.keys() == {Outer, Scatter} and None not in found:
        head, table = sorted(found, key=lambda form: isinstance(form, Scatter))
        assert isinstance(head, Outer)
        assert isinstance(table, Scatter)
        if len(head.sizes) == 2 and head.left.shape[2] == 1 and table.rows.ndim == 3:
            return tracked, Tied(head, table)
    return None


def _joined(forms: Sequence[Form]) -> Form | None:
    """Return uses of one kind as one, or None if their sums have no common form."""
    first, *others = forms
    if not others:
        return first
    if isinstance(first, (Dense, Scatter)):
        return first.joined(others)  # type: ignore[arg-type]
    if isinstance(first, Outer):
        shapes = {(other.sizes, other.order) for other in forms}  # type: ignore[attr-defined]
        return first.joined(others) if len(shapes) == 1 else None  # type: ignore[arg-type]
    return None


def _aligned(form: Form, sums: Tensor | None, target: Tensor) -> Form | None:
    """Return a form as one of the tensor whose sums are `target`, None if it is of another."""
    if sums is None:
        return None
    if same_elements(sums, target):
        return form
    if isinstance(form, Outer) and sums.ndim == 2 and same_elements(sums.t(), target):
        return form.transposed()
    return None


def same_elements(a: Tensor, b: Tensor) -> bool:
    """Return whether two views show the same elements in the same order."""
    return (a.data_ptr(), a.shape, a.stride()) == (b.data_ptr(), b.shape, b.stride())


def _copy(values: Tensor) -> Tensor:
    """Return a copy, shape (sample, token, row), with the same one of the last axes fast."""
    if values.stride(1) < values.stride(2):
        return values.transpose(1, 2).clone(memory_format=torch.contiguous_format).transpose(1, 2)
    return values.clone(memory_format=torch.contiguous_format)


def _scaled(values: Tensor, exponent: int) -> Tensor:
    """Return `values` / 2^`exponent`, of float32 at least."""
    if values.dtype == torch.float64:
        return values
    return values.to(torch.float32) * 2.0**-exponent
