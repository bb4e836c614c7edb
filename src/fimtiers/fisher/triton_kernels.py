"""Triton code; imported only where Triton is installed. See `fimtiers.fisher.fused`."""

import triton
import triton.language as tl


@triton.jit
def add_squares(  # type: ignore[no-untyped-def]
    left,
    right,
    total,
    samples,
    tokens,
    rows,
    columns,
    scale,
    left_sample,
    left_token,
    left_group,
    left_row,
    right_sample,
    right_token,
    right_group,
    right_column,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TOKENS: tl.constexpr,
):
    """Write one tile of Σ_n (Σ_t scale · left_nt ⊗ right_nt)² of one group.

    After the sizes come the strides of both sides, in numbers. `total` is contiguous.
    """
    group = tl.program_id(2).to(tl.int64)
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)).to(tl.int64)
    left += group * left_group + row[:, None] * left_row
    right += group * right_group + column[None, :] * right_column
    squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for sample in range(samples):
        left_start = left + tl.cast(sample, tl.int64) * left_sample
        right_start = right + tl.cast(sample, tl.int64) * right_sample
        gradient = tl.zeros((ROWS, COLUMNS), tl.float32)
        for start in range(0, tokens, TOKENS):
            token = (start + tl.arange(0, TOKENS)).to(tl.int64)
            left_inside = (row[:, None] < rows) & (token[None, :] < tokens)
            right_inside = (token[:, None] < tokens) & (column[None, :] < columns)
            a = tl.load(left_start + token[None, :] * left_token, mask=left_inside, other=0.0)
            b = tl.load(right_start + token[:, None] * right_token, mask=right_inside, other=0.0)
            gradient = tl.dot(a * scale, b, gradient, input_precision="ieee")
        squares += gradient * gradient
    place = (group * rows + row[:, None]) * columns + column[None, :]
    tl.store(total + place, squares, mask=(row[:, None] < rows) & (column[None, :] < columns))
