"""A recipe for every operation that the engine has a rule or a decomposition for."""

from conformance_elementwise import ELEMENTWISE
from conformance_functional import FUNCTIONAL
from conformance_lookups import LOOKUPS
from conformance_operations import Recipe
from conformance_products import PRODUCTS

OPERATIONS: dict[str, Recipe] = {**PRODUCTS, **ELEMENTWISE, **FUNCTIONAL, **LOOKUPS}
"""By name of the torch function."""
