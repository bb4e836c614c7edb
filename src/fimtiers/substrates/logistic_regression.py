"""Softmax regression on labels from a noisy linear teacher.

Parameters are weights W (feature, class) and biases b (class). The output at input x is the
probability p = softmax(x W + b) of each class; the likelihood is categorical, and the gradient of
its negative logarithm at label y is, with the residual e = p − onehot(y),

    ∂ℓ/∂W_jc = x_j e_c,    ∂ℓ/∂b_c = e_c.

Two questions are settings, because they change the answer:

- which labels (`definition`): `loss` squares the residual at the training label, the "empirical
  Fisher" that was published; `true` takes the expectation over labels from the likelihood itself,
  E[e_c²] = p_c (1 − p_c), which is the Fisher information.
- which inputs: the published protocol draws `probes` training points with replacement, the
  corrected one averages over every training point once, the limit of many draws.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fimtiers import generators
from fimtiers.records import FisherDiagonal, Settings, State, Tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "features": {
        "type": "integer",
        "minimum": 1,
        "default": 32,
        "description": "Dimension of an input.",
    },
    "classes": {
        "type": "integer",
        "minimum": 2,
        "default": 10,
        "description": "Number of classes.",
    },
    "samples": {
        "type": "integer",
        "minimum": 1,
        "default": 2000,
        "description": "Number of training points.",
    },
    "steps": {
        "type": "integer",
        "minimum": 0,
        "default": 300,
        "description": "Number of full-batch gradient steps, from zero parameters.",
    },
    "learning_rate": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.01,
        "description": "Step length of the training, per unit gradient of the mean loss.",
    },
    "definition": {
        "enum": ["loss", "true"],
        "default": "loss",
        "stage": "fisher",
        "description": "`loss`: squared loss gradients at the training labels; "
        "`true`: expectation over labels from the model's own probabilities.",
    },
    "probes": {
        "type": "integer",
        "minimum": 1,
        "default": 200,
        "description": "Number of training points drawn, with replacement, for the mean. "
        "Without effect in the `corrected` protocol.",
    },
    "protocol": {
        "enum": ["published", "corrected"],
        "default": "published",
        "stage": "fisher",
        "description": "`published`: mean over drawn training points; "
        "`corrected`: mean over all training points.",
    },
}

TEACHER_SCALE = 0.3
LABEL_NOISE = 0.1


def build_state(settings: Settings, seeds: NDArray[np.int64]) -> State:
    """Draw a teacher and a training set per seed, and train all seeds together."""
    features, classes = settings["features"], settings["classes"]
    streams = generators.seed_numpy(seeds)
    drawn = [_draw_training_set(stream, settings) for stream in streams]
    inputs = np.stack([x for x, _ in drawn])
    labels = np.stack([y for _, y in drawn])
    weight, bias, loss = train(
        inputs, _one_hot(labels, classes), settings["steps"], settings["learning_rate"]
    )
    return State(
        theta=np.concatenate([weight.reshape(len(seeds), -1), bias], axis=1),
        tensors=(
            Tensor("weight", 0, "weight", (features, classes)),
            Tensor("bias", 0, "bias", (classes,)),
        ),
        fixed={
            "input": (("seed", "sample", "feature"), inputs),
            "label": (("seed", "sample"), labels),
            "generator": generators.pack_numpy(streams),
        },
        diagnostics={"training_loss": (("seed",), loss)},
    )


def fisher_diagonal(settings: Settings, state: State) -> FisherDiagonal:
    """Average squared loss gradients over training points."""
    samples, classes = settings["samples"], settings["classes"]
    published = settings["protocol"] == "published"
    streams = generators.unpack_numpy(state.fixed["generator"])
    all_inputs, all_labels = state.fixed["input"][1], state.fixed["label"][1]
    rows = []
    for theta, x, y, stream in zip(state.theta, all_inputs, all_labels, streams, strict=True):
        points = stream.integers(0, samples, settings["probes"]) if published else slice(None)
        weight, bias = theta[:-classes].reshape(-1, classes), theta[-classes:]
        probability = softmax(x[points] @ weight + bias, axis=-1)
        if settings["definition"] == "loss":
            squared_residual = (probability - _one_hot(y[points], classes)) ** 2
        else:
            squared_residual = probability * (1 - probability)
        rows.append(mean_squared_gradient(x[points], squared_residual))
    return FisherDiagonal(
        fim=np.stack(rows),
        tensors=state.tensors,
        probes=settings["probes"] if published else samples,
        estimator="analytic",
        definition=settings["definition"],
    )


def mean_squared_gradient(
    inputs: NDArray[np.float64], squared_residual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of (x_j e_c)² for every weight, then of e_c² for every bias.

    Parameters
    ----------
    inputs
        x, shape (probe, feature).
    squared_residual
        e², shape (probe, class).

    Returns
    -------
    NDArray
        Shape (feature · class + class,).
    """
    weight = (inputs**2).T @ squared_residual / len(inputs)
    return np.concatenate([weight.ravel(), squared_residual.mean(axis=0)])


def train(
    inputs: NDArray[np.float64], targets: NDArray[np.float64], steps: int, learning_rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Descend the mean negative log-likelihood from zero, all seeds at once.

    Parameters
    ----------
    inputs
        Shape (seed, sample, feature).
    targets
        One-hot labels, shape (seed, sample, class).
    steps
        Number of full-batch steps.
    learning_rate
        Step length.

    Returns
    -------
    weight, bias, loss
        Shapes (seed, feature, class), (seed, class), (seed,); the loss is the final one, in nats.
    """
    n_seeds, samples, features = inputs.shape
    weight = np.zeros((n_seeds, features, targets.shape[2]))
    bias = np.zeros((n_seeds, targets.shape[2]))
    transposed = np.ascontiguousarray(inputs.swapaxes(1, 2))
    for _ in range(steps):
        residual = softmax(inputs @ weight + bias[:, None], axis=-1) - targets
        weight -= learning_rate / samples * (transposed @ residual)
        bias -= learning_rate * residual.mean(axis=1)
    likelihood = np.sum(softmax(inputs @ weight + bias[:, None], axis=-1) * targets, axis=-1)
    return weight, bias, -np.log(likelihood).mean(axis=1)


def _draw_training_set(
    stream: np.random.Generator, settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    features, classes, samples = settings["features"], settings["classes"], settings["samples"]
    teacher = TEACHER_SCALE * stream.standard_normal((features, classes))
    inputs = stream.standard_normal((samples, features))
    noise = LABEL_NOISE * stream.standard_normal((samples, classes))
    return inputs, np.argmax(inputs @ teacher + noise, axis=1)


def _one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    return np.eye(classes)[labels]
