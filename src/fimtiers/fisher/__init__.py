"""Fisher-information diagonals of any torch model: exact, at about the cost of a backward pass.

`diagonal` is the way in, `Extractor` the same for many calls; `Diagonal` is what comes out. Only
the extraction lives here: nothing in this folder knows of tiers, substrates or files other than its
own shards.
"""

from fimtiers.fisher.diagonal import diagonal
from fimtiers.fisher.ensemble import diagonal_ensemble
from fimtiers.fisher.extractor import Extractor
from fimtiers.fisher.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood
from fimtiers.fisher.objective import Masked
from fimtiers.fisher.refusals import SampleCouplingError, WrongRouteError
from fimtiers.fisher.result import Diagonal
from fimtiers.fisher.shards import load, save

__all__ = [
    "Bernoulli",
    "Categorical",
    "Diagonal",
    "Extractor",
    "Gaussian",
    "Likelihood",
    "Masked",
    "SampleCouplingError",
    "WrongRouteError",
    "diagonal",
    "diagonal_ensemble",
    "load",
    "save",
]
