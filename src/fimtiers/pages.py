"""Tables as pages of HTML on their own: nothing is loaded, a click on a heading sorts."""

import html
import math
from pathlib import Path

import pandas as pd

from fimtiers.io import atomic
from fimtiers.tables import write_table

DIGITS = 4
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
.text {{ text-align: left; }}
</style>
<table>
<caption>{title}; click on a heading to sort</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
<script>
for (const heading of document.querySelectorAll("th")) {{
  let ascending = true;
  heading.onclick = () => {{
    const key = (row) => row.cells[heading.cellIndex].dataset.value;
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
        Columns of text or numbers. What is missing is shown empty and sorted last.
    title
        Shown above the table.
    """
    head = "".join(
        f"<th{_kind(table[name])}>{html.escape(name.replace('_', ' '))}</th>" for name in table
    )
    kinds = [_kind(table[name]) for name in table]
    rows = ["".join(map(_cell, row, kinds)) for row in table.itertuples(index=False, name=None)]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    with atomic(path) as temporary:
        temporary.write_text(PAGE.format(title=html.escape(title), head=head, body=body))


def _kind(column: pd.Series) -> str:
    return "" if pd.api.types.is_numeric_dtype(column) else ' class="text"'


def _cell(value: object, kind: str) -> str:
    missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    text = "" if missing else str(value)
    shown = f"{value:.{DIGITS}g}" if isinstance(value, float) and not missing else text
    return f'<td{kind} data-value="{html.escape(text)}">{html.escape(shown)}</td>'
