"""Equal settings as equal values, however a file writes them: 100 and 100.0, in any order.

What a job depends on is compared as text, so a study keeps each value as its schema declares it.
"""

from collections.abc import Mapping
from typing import Any


def as_declared(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value that fits a JSON Schema in the form that the schema declares.

    Parameters
    ----------
    value
        As read from a file, and checked.
    schema
        Its schema.

    Returns
    -------
    Any
        An equal value: a float where a number is declared, the allowed value itself where some are
        listed, and entries in the order in which they are declared.
    """
    is_truth = isinstance(value, bool)
    for allowed in schema.get("enum", ()):
        if allowed == value and isinstance(allowed, bool) == is_truth:
            return allowed
    if isinstance(value, list):
        return [as_declared(item, schema.get("items", {})) for item in value]
    if isinstance(value, dict):
        return entries_as_declared(value, schema.get("properties", {}))
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    is_number = isinstance(value, int) and not is_truth
    return float(value) if is_number and "number" in kinds and "integer" not in kinds else value


def entries_as_declared(
    entries: Mapping[str, Any], table: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return named values as `as_declared`, in the order of `table`, those not in it at the end."""
    order = [*(name for name in table if name in entries), *sorted(set(entries) - set(table))]
    return {name: as_declared(entries[name], table.get(name, {})) for name in order}
