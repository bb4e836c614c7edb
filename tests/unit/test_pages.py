import pandas as pd

from fimtiers.pages import LARGEST, write_page, write_table_and_page
from fimtiers.tables import read_table

TABLE = pd.DataFrame({"name": ["a<b", None], "mean_value": [1 / 3, float("inf")]})


def test_a_table_and_its_page_have_the_same_name(tmp_path):
    write_table_and_page(tmp_path / "table.csv", TABLE, "A & B")
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv"), TABLE)
    assert "<title>A &amp; B</title>" in (tmp_path / "table.html").read_text()


def test_a_page_shows_four_digits_and_keeps_all_for_sorting(tmp_path):
    write_page(tmp_path / "page.html", TABLE, "title")
    page = (tmp_path / "page.html").read_text()
    assert f'<td data-value="{1 / 3}">0.3333</td>' in page
    assert "<tr><td>a&lt;b</td>" in page
    assert "<tr><td></td><td>inf</td></tr>" in page
    assert "<th>name</th><th>mean value</th>" in page
    assert "\n:is(th, td):nth-child(1) { text-align: left; }" in page


def test_a_page_asks_for_nothing_from_elsewhere(tmp_path):
    write_page(tmp_path / "page.html", TABLE, "title")
    page = (tmp_path / "page.html").read_text()
    assert not any(sign in page for sign in ("http", "src=", "@import", "url("))


def test_a_page_that_no_report_could_show_leaves_rows_out_and_says_so(tmp_path):
    rows = 3 * LARGEST // 100
    table = pd.DataFrame({"word": ["x" * 100] * rows})
    write_page(tmp_path / "page.html", table, "title")
    page = (tmp_path / "page.html").read_text()
    kept = page.count("<tr><td>")
    assert f"sort; the first {kept} of {rows} rows</caption>" in page
    assert 0.9 * LARGEST < len(page.encode()) <= LARGEST
