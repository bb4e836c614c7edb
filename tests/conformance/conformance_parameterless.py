"""Classes of torch.nn that have no parameters of their own, with arguments to make them."""

from typing import Any

from torch import nn

_NO_ARGUMENTS = (
    "AlphaDropout", "BCELoss", "BCEWithLogitsLoss", "CELU", "CTCLoss", "Container",
    "CosineEmbeddingLoss", "CosineSimilarity", "CrossEntropyLoss", "Dropout", "Dropout1d",
    "Dropout2d", "Dropout3d", "ELU", "FeatureAlphaDropout", "Flatten", "GELU", "GLU",
    "GaussianNLLLoss", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh",
    "HingeEmbeddingLoss", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "MSELoss", "MarginRankingLoss", "Mish", "Module", "ModuleDict",
    "ModuleList", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss",
    "NLLLoss2d", "PairwiseDistance", "PoissonNLLLoss", "RReLU", "ReLU", "ReLU6", "SELU",
    "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "SoftMarginLoss", "Softmax", "Softmax2d",
    "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "TripletMarginLoss",
    "TripletMarginWithDistanceLoss", "Upsample",
)  # fmt: skip
_ONE_NUMBER = (
    *(f"{kind}{axes}d" for axes in (1, 2, 3) for kind in (
        "AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "CircularPad", "MaxPool", "MaxUnpool",
        "ReflectionPad", "ReplicationPad", "ZeroPad")),
    "ChannelShuffle", "CrossMapLRN2d", "LocalResponseNorm", "PixelShuffle", "PixelUnshuffle",
    "Unfold", "UpsamplingBilinear2d", "UpsamplingNearest2d",
)  # fmt: skip

WITHOUT_PARAMETERS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(_NO_ARGUMENTS, ()),
    **dict.fromkeys(_ONE_NUMBER, (2,)),
    **{f"ConstantPad{axes}d": (1, 0.0) for axes in (1, 2, 3)},
    **{f"LPPool{axes}d": (2, 2) for axes in (1, 2, 3)},
    **{f"FractionalMaxPool{axes}d": (2, 3) for axes in (2, 3)},
    "DataParallel": (nn.Identity(),),
    "Fold": (2, 2),
    "Threshold": (0.0, 0.0),
    "Unflatten": (1, (1, 1)),
}
"""Arguments by name; the classes that only hold other modules count as such."""

ABSTRACT = ("RNNBase", "RNNCellBase")
"""Bases of layers that are tested: they compute nothing themselves."""
