"""Numbers in the text of a page, written in digits or in words, and where they stand."""

import re
from collections.abc import Iterator

SMALL_NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
)
"""The words for 0 to 20, as they stand before a noun."""
COUNTING = (
    *SMALL_NUMBERS[2:],
    *("none", "neither", "half", "twice", "thirds?", "quarters?", "double", "every one"),
    *("one of", "all but one", "a hundred", "a thousand", "a hundredth"),
)
"""Words that state a number. Alone, `no` and `one` mostly do not, nor do `all` and `each`."""
NUMBER = re.compile(
    r"(?<![\w^])(?<!\d[.,])\d+(?:[.,]\d+)*(?![A-Za-z_])|(?<![\w-])(?:"
    + "|".join(COUNTING)
    + r")\b",
    re.IGNORECASE,
)
"""Digits that are no part of a word, such as T1, and words of number, except behind a hyphen."""
BLOCKS = re.compile(r"^```.*?^```|^ {4,}(?![-*|])[^\n]*$|<!--.*?-->", re.MULTILINE | re.DOTALL)
"""Fenced and indented code, and comments."""
NO_TEXT = re.compile(r"`[^`]*`|\]\([^)]*\)|<[^<>]+>|\bS?U\(\d\)")
"""Code in a line, targets of links, tags, names of groups."""


def plain(text: str) -> str:
    """Return the text with every run of white space as one space."""
    return " ".join(text.split())


def prose(markdown: str) -> str:
    """Return the whole text of a page in one line, its tables and headings too, without code."""
    return plain(BLOCKS.sub(" ", markdown))


def numbers(text: str) -> Iterator[re.Match[str]]:
    """Yield the numbers of a text that `prose` gave, but those in code and targets of links."""
    hidden = [match.span() for match in NO_TEXT.finditer(text)]
    for number in NUMBER.finditer(text):
        if not any(start <= number.start() < stop for start, stop in hidden):
            yield number
