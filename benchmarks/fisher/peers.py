"""Every way to the diagonal that is compared, each prepared once and then called on batches.

A method maps a model to a function (inputs, targets) → {parameter name: mean of squared
per-sample gradients}. Preparation (extending a model, attaching hooks, a call on few samples) is
not timed, except in the first calls of `fimtiers`. Libraries are imported where they are used, so
that one which is absent or broken spoils its own row alone.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.fisher.workloads import loss
from fimtiers.fisher import Diagonal, Extractor, diagonal, diagonal_ensemble

Values = dict[str, Tensor] | Diagonal | Mapping[str, Tensor]
Extract = Callable[[Tensor, Tensor], Values]


def plain(models: Sequence[nn.Module], inputs: Tensor, targets: Tensor) -> None:
    """Run one batched forward and backward pass per model: the unit of all costs."""
    for model in models:
        model.zero_grad(set_to_none=True)
        loss(model(inputs), targets).sum().backward()
        model.zero_grad(set_to_none=True)


def plain_stacked(models: Sequence[nn.Module]) -> Callable[[Tensor, Tensor], None]:
    """Return what runs one batched forward and backward pass of all models at once, by vmap."""
    parameters, buffers = stack_module_state(list(models))

    def outputs(parameters: Values, buffers: Values, inputs: Tensor) -> Tensor:
        return functional_call(models[0], {**parameters, **buffers}, inputs)

    def run(inputs: Tensor, targets: Tensor) -> None:
        found = vmap(outputs, (0, 0, None))(parameters, buffers, inputs)
        loss(found.flatten(0, 1), targets.repeat(len(models))).sum().backward()
        for p in parameters.values():
            p.grad = None

    return run


def plain_passes(models: Sequence[nn.Module]) -> dict[str, Callable[[Tensor, Tensor], None]]:
    """Return the unit of all costs, and of several models also the pass of all at once."""
    passes: dict[str, Callable[[Tensor, Tensor], None]] = {
        "plain pass": lambda x, y: plain(models, x, y)
    }
    if len(models) > 1:
        passes["plain pass, stacked"] = plain_stacked(models)
    return passes


def fimtiers(model: nn.Module) -> Extract:
    extract = Extractor(model, loss)
    return lambda x, y: extract((x, y))


def first_call(model: nn.Module) -> Extract:
    return lambda x, y: diagonal(model, loss, (x, y))


def loop(model: nn.Module) -> Extract:
    """One sample after the other, summed in float64."""
    parameters = dict(model.named_parameters())

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        total = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in parameters.items()}
        for n in range(len(inputs)):
            model.zero_grad(set_to_none=True)
            loss(model(inputs[n : n + 1]), targets[n : n + 1]).sum().backward()
            for name, p in parameters.items():
                if p.grad is not None:
                    total[name] += p.grad.double().square()
        model.zero_grad(set_to_none=True)
        return {name: t / len(inputs) for name, t in total.items()}

    return extract


def vmap_grad(chunk: int) -> Callable[[nn.Module], Extract]:
    """`torch.func.vmap(grad)`, squared and summed `chunk` samples at a time."""

    def prepare(model: nn.Module) -> Extract:
        parameters = {name: p.detach() for name, p in model.named_parameters()}
        buffers = dict(model.named_buffers())

        def sample_loss(parameters: Values, x: Tensor, y: Tensor) -> Tensor:
            outputs = functional_call(model, {**parameters, **buffers}, x.unsqueeze(0))
            return loss(outputs, y.unsqueeze(0)).squeeze(0)

        gradients = vmap(grad(sample_loss), (None, 0, 0))

        def extract(inputs: Tensor, targets: Tensor) -> Values:
            total = {n: torch.zeros_like(p, dtype=torch.float64) for n, p in parameters.items()}
            for x, y in zip(inputs.split(chunk), targets.split(chunk), strict=True):
                for name, g in gradients(parameters, x, y).items():
                    total[name] += g.square().sum(0)  # not in place: gradients may share memory
            return {name: t / len(inputs) for name, t in total.items()}

        return extract

    return prepare


def backpack(model: nn.Module) -> Extract:
    from backpack import backpack as extended_backward
    from backpack import extend
    from backpack.extensions import SumGradSquared

    model = extend(copy.deepcopy(model))

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        model.zero_grad(set_to_none=True)
        with extended_backward(SumGradSquared()):
            loss(model(inputs), targets).sum().backward()
        found = {}
        for name, p in model.named_parameters():
            if hasattr(p, "sum_grad_squared"):
                found[name] = p.sum_grad_squared / len(inputs)
                del p.sum_grad_squared
        return found

    return extract


def opacus(model: nn.Module) -> Extract:
    from opacus.grad_sample import GradSampleModule

    wrapped = GradSampleModule(copy.deepcopy(model), loss_reduction="sum")
    wrapped.train()  # in eval mode its hooks are silent

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        wrapped.zero_grad(set_to_none=True)
        loss(wrapped(inputs), targets).sum().backward()
        found = {}
        for name, p in wrapped.named_parameters():
            if getattr(p, "grad_sample", None) is not None:
                found[name.removeprefix("_module.")] = p.grad_sample.square().mean(0)
                p.grad_sample = None
        return found

    return extract


def nngeometry(model: nn.Module) -> Extract:
    from nngeometry.backend import TorchHooksJacobianBackend
    from nngeometry.layercollection import LayerCollection
    from torch.utils.data import DataLoader

    model = copy.deepcopy(model)
    layers = LayerCollection.from_model(model)
    backend = TorchHooksJacobianBackend(
        model=model, function=lambda x, y: loss(model(x), y), layer_collection=layers
    )
    names = {id(module): name for name, module in model.named_modules()}

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        whole = DataLoader([(inputs, targets)], batch_size=None)  # collating samples would be slow
        flat, found = backend.get_covariance_diag(whole) / len(inputs), {}
        for layer, module in backend.l_to_m.items():
            start = layers.p_pos[layer]
            for part in ("weight", "bias"):
                p = getattr(module, part, None)
                if p is not None:
                    values = flat[start : start + p.numel()].view_as(p)
                    found[f"{names[id(module)]}.{part}"] = values
                    start += p.numel()
        return found

    return extract


def laplace(model: nn.Module) -> Extract:
    from laplace.curvature.curvlinops import CurvlinopsEF

    model = copy.deepcopy(model)
    curvature = CurvlinopsEF(model, "classification")

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        _, flat = curvature.diag(inputs, targets)
        named = dict(model.named_parameters())
        parts = flat.split([p.numel() for p in named.values()])
        return {
            name: part.view_as(p) / len(inputs)
            for (name, p), part in zip(named.items(), parts, strict=True)
        }

    return extract


def asdl(model: nn.Module) -> Extract:
    from asdl import SHAPE_DIAG, no_centered_cov

    model = copy.deepcopy(model)

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        model.zero_grad(set_to_none=True)
        with no_centered_cov(model, [SHAPE_DIAG]) as context:
            loss(model(inputs), targets).sum().backward()
            found = {}
            for prefix, module in model.named_modules():
                for part, sums in (context.cov_diag(module) or {}).items():
                    found[f"{prefix}.{part}"] = sums / len(inputs)
        return found

    return extract


def kronfluence(model: nn.Module) -> Extract:
    """Return lambda matrices of the strategy `diagonal`, which linear and conv layers have."""
    from kronfluence.arguments import FactorArguments
    from kronfluence.factor.eigen import fit_lambda_matrices_with_loader
    from kronfluence.module.utils import wrap_tracked_modules
    from kronfluence.task import Task
    from kronfluence.utils.constants import LAMBDA_MATRIX_NAME
    from kronfluence.utils.state import State

    class Losses(Task):
        """The sum of the losses of all samples."""

        def compute_train_loss(
            self, batch: tuple[Tensor, Tensor], model: nn.Module, sample: bool = False
        ) -> Tensor:
            """Return the loss of labels from the data, as `use_empirical_fisher` asks for it."""
            return loss(model(batch[0]), batch[1]).sum()

        def compute_measurement(self, batch: tuple[Tensor, Tensor], model: nn.Module) -> Tensor:
            """Return what influence functions would be of."""
            return self.compute_train_loss(batch, model)

    model, task, state = copy.deepcopy(model), Losses(), State(cpu=True)
    biased = {
        name: getattr(module, "bias", None) is not None for name, module in model.named_modules()
    }
    model = wrap_tracked_modules(model, task)
    # Tied weights and layers used twice are added up only where this is said.
    options = FactorArguments(
        strategy="diagonal", use_empirical_fisher=True, has_shared_parameters=True
    )

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        _, factors = fit_lambda_matrices_with_loader(
            model, state, task, [(inputs, targets)], options, disable_tqdm=True
        )
        found = {}
        for name, sums in factors[LAMBDA_MATRIX_NAME].items():
            weight = sums[:, :-1] if biased[name] else sums
            shape = model.get_submodule(name).original_module.weight.shape
            found[f"{name}.weight"] = weight.reshape(shape) / len(inputs)
            if biased[name]:
                found[f"{name}.bias"] = sums[:, -1] / len(inputs)
        return found

    return extract


PROBES = 20
"""Products with the matrix for an estimate of its diagonal."""


def curvlinops(model: nn.Module) -> Extract:
    """Estimate the diagonal: this release has no exact one, of this matrix or another."""
    from curvlinops import EFLinearOperator, hutchinson_diag

    model = copy.deepcopy(model)
    named = dict(model.named_parameters())

    class Losses(nn.CrossEntropyLoss):
        """The mean loss of the samples; the library tells losses apart by their class."""

    def extract(inputs: Tensor, targets: Tensor) -> Values:
        matrix = EFLinearOperator(
            model, Losses(), list(named.values()), [(inputs, targets)],
            check_deterministic=False,
        )  # fmt: skip
        flat = hutchinson_diag(matrix, PROBES)
        parts = flat.split([p.numel() for p in named.values()])
        return {n: v.view_as(p) for (n, p), v in zip(named.items(), parts, strict=True)}

    return extract


ESTIMATES = {"curvlinops"}
"""Peers that say that what they give is an estimate from random vectors."""


def stacked(models: Sequence[nn.Module]) -> Extract:
    def extract(inputs: Tensor, targets: Tensor) -> Values:
        results = diagonal_ensemble(models, loss, (inputs, targets))
        return Numbered(results)

    return extract


def each(prepare: Callable[[nn.Module], Extract]) -> Callable[[Sequence[nn.Module]], Extract]:
    """Apply a method to one network after the other."""

    def prepare_all(models: Sequence[nn.Module]) -> Extract:
        extracts = [prepare(model) for model in models]
        if len(extracts) == 1:
            return extracts[0]
        return lambda x, y: Numbered([extract(x, y) for extract in extracts])

    return prepare_all


CHUNKS = (8, 32, 128)
"""Chunks of vmap that are tried; the fastest is reported."""

NO_SAMPLE_GRADIENTS = {"BackPACK", "nngeometry", "asdl"}
"""Peers that get all samples where these are vectors or words: they form no gradient of each
sample of a linear layer, so their cost per sample depends on how many there are."""

METHODS: dict[str, Callable[[Sequence[nn.Module]], Extract]] = {
    "fimtiers": each(fimtiers),
    "fimtiers, first call": each(first_call),
    "loop": each(loop),
    **{f"vmap, chunks of {chunk}": each(vmap_grad(chunk)) for chunk in CHUNKS},
    "BackPACK": each(backpack),
    "Opacus": each(opacus),
    "nngeometry": each(nngeometry),
    "laplace": each(laplace),
    "asdl": each(asdl),
    "kronfluence": each(kronfluence),
    "curvlinops": each(curvlinops),
}
ENSEMBLE = {
    "fimtiers, stacked": stacked,
    "fimtiers": each(fimtiers),
    "fimtiers, first call": each(first_call),
}


def methods(models: Sequence[nn.Module]) -> dict[str, Callable[[Sequence[nn.Module]], Extract]]:
    """Return what can be compared on these networks."""
    return METHODS if len(models) == 1 else ENSEMBLE


class Numbered(Mapping[str, Tensor]):
    """The tensors of several networks, under names that begin with the network's number."""

    def __init__(self, members: Sequence[Values]) -> None:
        self.members = members

    def __getitem__(self, name: str) -> Tensor:
        number, _, own = name.partition(".")
        return self.members[int(number)][own]

    def __iter__(self) -> Iterator[str]:
        return (f"{k}.{name}" for k, values in enumerate(self.members) for name in values)

    def __len__(self) -> int:
        return sum(1 for _ in self)
