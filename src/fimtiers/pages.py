"""Tables as pages of HTML on their own: nothing is loaded, a click on a heading sorts."""

import html
import math
from itertools import accumulate
from pathlib import Path

import pandas as pd

from fimtiers.io import atomic
from fimtiers.tables import write_table

DIGITS = 4
LARGEST = 3 << 19
"""Bytes. In a report a page is an address, a third longer, and Chromium opens none over 2 MiB."""
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 14px sans-serif; margin: 1em; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: 0.2em 0.6em; border-bottom: 1px solid #ccc; text-align: right; }}
th {{ cursor: pointer; position: sticky; top: 0; background: #fff; }}
{text} {{ text-align: left; }}
</style>
<table>
<caption>{title}; click on a heading to sort{left_out}</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
</table>
<script>
for (const heading of document.querySelectorAll("th")) {{
  let ascending = true;
  heading.onclick = () => {{
    const key = (row) => {{
      const cell = row.cells[heading.cellIndex];
      return cell.dataset.value ?? cell.textContent;
    }};
    const number = (text) => text === "inf" ? Infinity : Number(text);
    const empty = (text) => text === "" || text === "nan";
    const compare = (a, b) => {{
      if (empty(a) || empty(b)) return empty(a) - empty(b);
      const order = isNaN(number(a)) ? a.localeCompare(b) : Math.sign(number(a) - number(b)) || 0;
      return ascending ? order : -order;
    }};
    const body = document.querySelector("tbody");
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
    ascending = !ascending;
  }};
}}
</script>
</html>
"""


def write_table_and_page(path: Path, table: pd.DataFrame, title: str) -> None:
    """Write a table as CSV, for programs, and as a page of the same name, for people."""
    write_table(path, table)
    write_page(path.with_suffix(".html"), table, title)


def write_page(path: Path, table: pd.DataFrame, title: str) -> None:
    """Write a table as a page; numbers are shown with four digits and sorted by all of them.

    Parameters
    ----------
    path
        File to write.
    table
        Columns of text or numbers. What is missing is shown empty and sorted last. Rows beyond
        `LARGEST` are left out, and the page says so.
    title
        Shown above the table.
    """
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in table)
    rows = [_row(values) for values in table.itertuples(index=False, name=None)]
    ends = accumulate(len(row.encode()) for row in rows)
    kept = sum(end < LARGEST - len(PAGE) - len(head) for end in ends)
    page = PAGE.format(
        title=html.escape(title),
        text=_text_columns(table),
        left_out="" if kept == len(rows) else f"; the first {kept} of {len(rows)} rows",
        head=head,
        body="".join(rows[:kept]),
    )
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _text_columns(table: pd.DataFrame) -> str:
    """Return the CSS selector of the columns that are not numbers."""
    columns = [
        position + 1
        for position, name in enumerate(table)
        if not pd.api.types.is_numeric_dtype(table[name])
    ]
    return ", ".join(f":is(th, td):nth-child({column})" for column in columns) or "none"


def _row(values: tuple[object, ...]) -> str:
    return f"<tr>{''.join(map(_cell, values))}</tr>\n"


def _cell(value: object) -> str:
    """Return a cell; with all its digits in an attribute, if these are more than are shown."""
    missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    text = "" if missing else str(value)
    shown = f"{value:.{DIGITS}g}" if isinstance(value, float) and not missing else text
    exact = f' data-value="{html.escape(text)}"' if text != shown else ""
    return f"<td{exact}>{html.escape(shown)}</td>"
