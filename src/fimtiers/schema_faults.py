"""What is wrong with an entry of a study, by its JSON Schema: where, the value, what is allowed.

Snakefiles import this module, so it must not load anything heavy.
"""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

TEXT_TO_YAML = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d{1,3}|0\d{1,18}")
"""Numbers that YAML 1.1 reads as text."""


class StudyError(ValueError):
    """A study that cannot be run, with the entry, the value and what is allowed."""


def check(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Check a value against a JSON Schema.

    Raises
    ------
    StudyError
        One line for each fault: where, the value, and what is allowed.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
    validator = extend(Draft202012Validator, type_checker=checker)(schema)
    errors = sorted(validator.iter_errors(value), key=lambda error: list(error.path))
    if errors:
        raise StudyError(
            "\n".join(dict.fromkeys(_explain(error, where, value) for error in errors))
        )


def _is_integer(checker: Any, value: Any) -> bool:
    """Tell integers from floats: 8.0 is no number of sites."""
    return isinstance(value, int) and not isinstance(value, bool)


def _explain(error: Any, where: str, root: Any) -> str:
    path = ".".join((where, *map(str, error.absolute_path)))
    if error.validator == "additionalProperties":
        allowed = list(error.schema.get("properties", {}))
        unknown = [key for key in error.instance if key not in allowed]
        return (
            f"{path}: unknown entry {unknown[0]!r}{suggestion(unknown[0], allowed)}; "
            f"allowed: {', '.join(allowed)}"
        )
    if error.validator == "required":  # jsonschema reports each missing key on its own
        missing = [repr(key) for key in error.validator_value if key not in error.instance]
        names = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        return f"{path}: {names} {'is' if len(missing) == 1 else 'are'} missing" + _meant(
            error, root
        )
    value = json.dumps(error.instance, ensure_ascii=False)
    return f"{path}: {short(value)} is not allowed; {_allowed(error)}"


def short(text: str) -> str:
    """Cut a text that is too long for a message."""
    return text if len(text) <= 80 else f"{text[:77]}..."


def _meant(error: Any, root: Any) -> str:
    """Suggest the complete entry beside an incomplete one whose name is close: it was misspelt."""
    if not error.absolute_path:
        return ""
    *above, name = error.absolute_path
    for key in above:
        root = root[key]
    needed = set(error.validator_value)
    beside = root.items() if isinstance(root, dict) else ()
    whole = [key for key, entry in beside if isinstance(entry, dict) and needed <= set(entry)]
    return suggestion(name, whole)


def _as_number(text: Any, kind: Any) -> str:
    """Say how to write a number that YAML reads as text: it wants 1.0e-3 for 1e-3, and 9 for 09."""
    if not isinstance(text, str) or kind not in ("number", "integer"):
        return ""
    if TEXT_TO_YAML.fullmatch(text) is None:
        return ""
    value = float(text)
    if kind == "integer" or text.isdigit():
        return f"; YAML reads this as text: write {value:.0f}" if value.is_integer() else ""
    mantissa, _, power = text.lower().partition("e")
    mantissa += "" if "." in mantissa else ".0"
    sign = "" if power[0] in "+-" else "+"
    return f"; YAML reads this as text: write {mantissa}e{sign}{power}"


def _allowed(error: Any) -> str:
    limit = error.validator_value
    match error.validator:
        case "enum":
            quoted = isinstance(error.instance, bool) and str(error.instance).lower() in limit
            hint = '; write it in quotes, "true" is a word here' if quoted else ""
            return f"allowed: {', '.join(map(str, limit))}{hint}"
        case "type":
            kinds = limit if isinstance(limit, str) else " or ".join(limit)
            return f"expected {kinds}{_as_number(error.instance, limit)}"
        case "minimum":
            return f"the smallest allowed value is {limit}"
        case "exclusiveMinimum":
            return f"it must be greater than {limit}"
        case "maximum":
            return f"the largest allowed value is {limit}"
        case "exclusiveMaximum":
            return f"it must be less than {limit}"
        case "minItems" | "minProperties":
            return f"at least {limit} needed"
        case "uniqueItems":
            return "each value may appear once"
        case "pattern" | "propertyNames":
            return f"it must match {limit}"
    return str(error.message)


def suggestion(name: str, allowed: Any) -> str:
    """Return `` (did you mean 'NAME'?)`` if one of the allowed names is close, else nothing."""
    close = difflib.get_close_matches(str(name), list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
