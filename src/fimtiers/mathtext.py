"""Labels with formulas: whether matplotlib can draw them, asked before anything is computed.

Snakefiles import this module, so it must not load anything heavy unless a label has a formula.
"""

from importlib.util import find_spec


def unreadable_mathtext(label: str) -> str | None:
    """Say why a label with a formula between dollar signs cannot be drawn; None if it can.

    Where matplotlib is not installed, as with an environment of its own for figures, the job that
    draws finds out.
    """
    dollars = label.count("$") - label.count(r"\$")
    if not dollars or dollars % 2 or find_spec("matplotlib") is None:
        return None
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(label)
    except ValueError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("ParseFatalException: ")
        return (
            f"{label!r} is not allowed; between dollar signs it must be a formula that matplotlib "
            rf"can draw ({reason}); a plain dollar sign is \$"
        )
    return None
