"""Numbers that a page of the documentation quotes from results, each with where it comes from.

Beside a page lies a table with the same name, ``.csv``, in ``docs`` for a page at the top of the
repository. It has one row for each quotation:

``table``
    A CSV or JSON file in the results; the text of a figure, ``.rst``, which an expression knows as
    ``text``; or ``config`` for the configuration of the study. Empty for what is no result.
``rows``
    Which of its rows, as a pandas query; empty for all. For what is no result, what it is.
``says``
    A piece of the page with expressions in braces in place of its numbers, ``{one(slope):.3f}``.
    An expression knows the columns of those rows, or the entries of the JSON object, and the
    functions in `FUNCTIONS`. A number in words is an expression too, ``{word(sum(ratio > 100))}``,
    and so can be what is said of it, ``{'above' if min(ratio) > 100 else 'not all above'}``.
``said``
    That piece as the last full run filled it in. It has to occur in the page.

Every number of the page has to be in such a piece, in tables and headings too, in digits and in
words (`fimtiers.page_numbers`). ``python -m fimtiers.quotations RESULTS PAGE ...`` fills ``said``
in anew and prints what changed, so that the page can be mended; tests compare page and table, and
both with the results if there are any.
"""

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
import yaml

from fimtiers.page_numbers import SMALL_NUMBERS, numbers, plain, prose
from fimtiers.tables import read_json, read_table, write_table

CONFIG = Path(__file__).parents[2] / "config/config.yaml"
COLUMNS = ["table", "rows", "says", "said"]
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SHARES = {"none": 0.0, "a quarter": 1 / 4, "a third": 1 / 3, "half": 1 / 2, "two thirds": 2 / 3,
          "three quarters": 3 / 4, "all": 1.0}  # fmt: skip
NEAR = 0.05
"""A share is called by a name if it is this near to it, none and all only if they are exact."""
PLAIN_PROBABILITY = 1e-3
"""Smaller ones are written with a power of ten."""
LAWS = {
    "constant": "a constant", "log_depth": "ln L", "sqrt_depth": "√L", "depth": "L",
    "depth_squared": "L²", "tie": "tie", "rejected": "none: rejected", "no_growth": "no growth",
    "falls": "falls", "undetermined": "undetermined",
}  # fmt: skip
AROUND = 60
"""Letters of the text that are shown on both sides of a number without a source."""


def table_of(page: Path) -> Path:
    """Return where the quotations of a page are: beside it, or in the folder ``docs`` beside it."""
    beside = page.with_suffix(".csv")
    docs = page.parent / "docs"
    return docs / beside.name if docs.is_dir() else beside


def read_quotations(page: Path) -> pd.DataFrame:
    """Read the table of the quotations of a page."""
    return pd.read_csv(table_of(page), dtype=str, keep_default_na=False, encoding="utf-8")[COLUMNS]


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
                value = eval(expression, {"__builtins__": {}, **names})  # our own table
            except Exception as error:
                raise ValueError(f"{expression!r} of {quotation['says']!r}: {error}") from error
            pieces.append(format(value, form or ""))
    return "".join(pieces)


def missing_quotations(page: Path) -> list[str]:
    """Return what the table says and the page does not."""
    text = prose(page.read_text(encoding="utf-8"))
    return [said for said in read_quotations(page)["said"] if plain(said) not in text]


def loose_numbers(page: Path) -> list[str]:
    """Return the numbers on the page that no quotation covers, each with the text around it.

    Code and the targets of links do not count; nor do numbers that are part of a word.
    """
    text = prose(page.read_text(encoding="utf-8"))
    quoted = {plain(said) for said in read_quotations(page)["said"]}
    covered = [match.span() for said in quoted for match in re.finditer(re.escape(said), text)]
    return [
        f"{number.group()} in {text[max(0, number.start() - AROUND) : number.end() + AROUND]!r}"
        for number in numbers(text)
        if not any(start <= number.start() and number.end() <= stop for start, stop in covered)
    ]


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


def _word(number: float) -> str:
    """Write a number from 0 to 20 as a word, `no` for 0."""
    return SMALL_NUMBERS[int(number)]


def _share(value: float) -> str:
    """Write a share in words, half for 0.48, or in per cent if it is near to no simple one."""
    name = min(SHARES, key=lambda name: abs(SHARES[name] - value))
    exact = name in ("none", "all")
    near = value == SHARES[name] if exact else abs(SHARES[name] - value) <= NEAR
    return name if near else f"{100 * value:.0f} %"


def _number(value: float, digits: int = 0) -> str:
    """Write a number with so many decimals and a proper minus sign, – for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def _signed(value: float, digits: int = 0) -> str:
    """Write a number with so many decimals and its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def _short(value: float) -> str:
    """Write a positive number with two significant digits, all of them before the point."""
    exponent = math.floor(math.log10(value))
    return f"{value:.{max(1 - exponent, 0)}f}" if -3 < exponent < 4 else _power(value, 1)


def _probability(p: float) -> str:
    """Write 0.82, 0.003 or 8 · 10⁻⁵."""
    if p >= PLAIN_PROBABILITY:
        return f"{p:.1g}" if p < 0.1 else f"{p:.2f}"
    return _power(p)


def _law(name: str) -> str:
    """Write the name of a law, or of a finding, of `fimtiers.statistics.law_verdicts`."""
    return LAWS[name] if name in LAWS else f"L^{name.removeprefix('power_')}"


def _listed(words: Iterable[Any]) -> str:
    """Write a list as one says it: a, b and c."""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "any": any,
    "by": _by,
    "found": _found,
    "geometric": _geometric,
    "law": _law,
    "len": len,
    "listed": _listed,
    "max": max,
    "mean": np.mean,
    "median": np.median,
    "min": min,
    "number": _number,
    "one": _one,
    "power": _power,
    "probability": _probability,
    "round": round,
    "share": _share,
    "short": _short,
    "signed": _signed,
    "sorted": sorted,
    "str": str,
    "sum": sum,
    "tens": _tens,
    "word": _word,
}
"""What an expression can call besides the methods of its columns."""


def main(results: Path, *pages: Path) -> int:
    """Fill in the quotations of pages anew, print each that changed, and return how many cannot.

    A quotation that cannot be filled in keeps what it said.
    """
    failures = 0
    for page in pages:
        table = read_quotations(page)
        now = []
        for row in table.to_dict("records"):
            try:
                now.append(quote(row, results))
            except ValueError as error:
                failures += 1
                now.append(row["said"])
                print(f"{page}: {error}")
            if now[-1] != row["said"]:
                print(f"{page}:\n- {row['said']}\n+ {now[-1]}")
        write_table(table_of(page), table.assign(said=now))
    return failures


if __name__ == "__main__":
    sys.exit(min(main(*map(Path, sys.argv[1:])), 1))
