"""Numbers that a page of the documentation quotes from results, each with where it comes from.

Beside a page lies a table with the same name, ``.csv``, one row for each quotation:

``table``
    A CSV or JSON file in the results; the text of a figure, ``.rst``, which an expression knows as
    ``text``; or ``config`` for the configuration of the study. Empty for what is no result.
``rows``
    Which of its rows, as a pandas query; empty for all. For what is no result, what it is.
``says``
    A piece of the page with expressions in braces in place of its numbers, ``{one(slope):.3f}``.
    An expression knows the columns of those rows, or the entries of the JSON object, and the
    functions in `FUNCTIONS`.
``said``
    That piece as the last full run filled it in. It has to occur in the page.

``python -m fimtiers.quotations PAGE RESULTS`` fills in ``said`` anew and prints what changed, so
that the page can be mended; tests compare page and table, and both with the results if there are
any.
"""

import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
import yaml

from fimtiers.tables import read_json, read_table, write_table

CONFIG = Path(__file__).parents[2] / "config/config.yaml"
COLUMNS = ["table", "rows", "says", "said"]
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBER = re.compile(r"(?<![\w`(.])\d(?:[\d,.]*\d)?(?!\w)")


def read_quotations(page: Path) -> pd.DataFrame:
    """Read the table of quotations that lies beside a page."""
    table = page.with_suffix(".csv")
    return pd.read_csv(table, dtype=str, keep_default_na=False, encoding="utf-8")[COLUMNS]


def quote(quotation: Mapping[str, str], results: Path) -> str:
    """Fill the numbers of the results into ``says``.

    Parameters
    ----------
    quotation
        One row of the table.
    results
        The folder of results.

    Raises
    ------
    ValueError
        If no row is left, or an expression cannot be evaluated; the message has the quotation.
    """
    names: dict[str, Any] = {**FUNCTIONS}
    if not quotation["table"]:
        return quotation["says"]
    if quotation["table"] == "config":
        names["config"] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    elif quotation["table"].endswith(".rst"):
        names["text"] = (results / quotation["table"]).read_text(encoding="utf-8")
    elif quotation["table"].endswith(".json"):
        names |= read_json(results / quotation["table"])
    else:
        rows = read_table(results / quotation["table"])
        rows = rows.query(quotation["rows"]) if quotation["rows"] else rows
        if rows.empty:
            raise ValueError(f"{quotation['table']} has no rows {quotation['rows']!r}")
        names |= {str(column): rows[column] for column in rows}
    pieces = []
    for text, expression, form, _ in Formatter().parse(quotation["says"]):
        pieces.append(text)
        if expression is not None:
            try:
                value = eval(expression, {"__builtins__": {}}, names)  # our own table
            except Exception as error:
                raise ValueError(f"{expression!r} of {quotation['says']!r}: {error}") from error
            pieces.append(format(value, form or ""))
    return "".join(pieces)


def missing_quotations(page: Path) -> list[str]:
    """Return what the table says and the page does not."""
    text = _plain(page.read_text(encoding="utf-8"))
    return [said for said in read_quotations(page)["said"] if _plain(said) not in text]


def loose_numbers(page: Path) -> list[str]:
    """Return the numbers in lists on the page that no quotation covers, with their sentences.

    Code and the targets of links do not count; nor do numbers that are part of a word.
    """
    items = re.findall(r"^- (.*(?:\n  .*)*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [_plain(said) for said in read_quotations(page)["said"]]
    loose = []
    for item in map(_plain, items):
        covered = [match.span() for said in quoted for match in re.finditer(re.escape(said), item)]
        covered += [match.span() for match in re.finditer(r"`[^`]*`|\]\([^)]*\)", item)]
        for number in NUMBER.finditer(item):
            if not any(start <= number.start() < stop for start, stop in covered):
                loose.append(f"{number.group()} in {item!r}")
    return loose


def _plain(text: str) -> str:
    return " ".join(text.split())


def _one(values: "pd.Series[Any]") -> Any:
    """Return the one value that all rows have."""
    if len(values.unique()) != 1:
        raise ValueError(f"{values.name} has the values {values.unique().tolist()}; expected one")
    return values.iloc[0]


def _geometric(values: "pd.Series[float]") -> float:
    return float(np.exp(np.log(values).mean()))


def _by(values: "pd.Series[float]", *keys: "pd.Series[Any]") -> "pd.Series[float]":
    """Return geometric means of the groups that `keys` make."""
    return np.exp(np.log(values).groupby([key.loc[values.index] for key in keys]).mean())


def _found(pattern: str, text: str) -> str:
    """Return the first group of the first match."""
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"no {pattern!r} in {text!r}")
    return match.group(1)


def _power(value: float, digits: int = 0) -> str:
    """Write 8.9e-7 as 9 · 10⁻⁷, or 1.26e-4 with one digit as 1.3 · 10⁻⁴."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa} · 10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def _tens(value: float) -> str:
    """Write the order of magnitude, 10¹⁸."""
    return f"10{str(math.floor(math.log10(value))).translate(SUPERSCRIPTS)}"


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "by": _by,
    "found": _found,
    "geometric": _geometric,
    "len": len,
    "max": max,
    "mean": np.mean,
    "median": np.median,
    "min": min,
    "one": _one,
    "power": _power,
    "round": round,
    "sum": sum,
    "tens": _tens,
    "word": lambda number: WORDS[int(number)],
}
"""What an expression can call besides the methods of its columns."""


def main(page: Path, results: Path) -> None:
    """Fill in the quotations of a page anew, and print each that changed."""
    table = read_quotations(page)
    now = [quote(row, results) for row in table.to_dict("records")]
    for before, after in zip(table["said"], now, strict=True):
        if before != after:
            print(f"- {before}\n+ {after}")
    write_table(page.with_suffix(".csv"), table.assign(said=now))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
