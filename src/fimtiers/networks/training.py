"""Stochastic gradient descent with momentum for a stack of networks."""

from torch import Tensor

from fimtiers.networks import dense_stack
from fimtiers.networks.dense_stack import DenseStack, Tape


class MomentumDescent:
    """v ← μ v + g, θ ← θ − η v, with v = 0 at first: ``torch.optim.SGD`` with its defaults.

    The gradient g is never stored. The matrix product that makes it adds it to μ v at once.

    Parameters
    ----------
    stack
        The networks; their parameters change in place.
    rows
        Number of inputs per seed in every step.
    learning_rate
        η.
    momentum
        μ.
    """

    def __init__(self, stack: DenseStack, rows: int, learning_rate: float, momentum: float) -> None:
        self.stack = stack
        self.velocity = dense_stack.zeros_like(stack)
        self.buffers = dense_stack.buffers_for(stack, rows)
        self.ones = stack.flat.new_ones(stack.weights[0].shape[0], 1, rows)
        self.learning_rate = learning_rate
        self.momentum = momentum

    def forward(self, x: Tensor) -> Tape:
        """Evaluate the networks at `x`, shape (seed, row, n_0)."""
        return dense_stack.forward(self.stack, x, self.buffers)

    def step(self, tape: Tape, delta: Tensor) -> None:
        """Update the parameters, given ∂(loss of the batch)/∂(output), shape (seed, row, n_L)."""
        for layer, a, d in dense_stack.backward(self.stack, tape, delta, self.buffers):
            self.velocity.weights[layer].baddbmm_(d.mT, a, beta=self.momentum)
            self.velocity.biases[layer].baddbmm_(self.ones, d, beta=self.momentum)
        self.stack.flat.add_(self.velocity.flat, alpha=-self.learning_rate)
