"""The page of all rules, read from the files in workflow/rules and from the scripts they start."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INCLUDE = re.compile(r'^include: "(rules/\w+\.smk)"$', re.MULTILINE)
RULE = re.compile(
    r"^(?:rule (?P<name>\w+)|use rule (?P<base>\w+) as (?P<copy>\w+) with):\n"
    r"(?P<body>(?:[ \t]+\S.*\n|\n(?=[ \t]))*)",
    re.MULTILINE,
)
DIRECTIVE = re.compile(r"^    (\w+):.*\n((?: {8}.*\n|\n)*)", re.MULTILINE)
OUTPUT = re.compile(r'"<results>/([^"]+)"')
SCRIPT = re.compile(r'"\$FIMTIERS_SCRIPTS/(\w+\.py)"')


@dataclass(frozen=True)
class Rule:
    """One rule: what it is called, which files it makes, and what it does in a sentence."""

    name: str
    outputs: list[str]
    summary: str


def rules_page(workflow: Path) -> str:
    """Return the page as Markdown: a section per file of rules, a row per rule.

    Parameters
    ----------
    workflow
        The folder with the Snakefile.
    """
    parts = [
        "# Rules\n\nA rule is named as its script and its folder of logs. Files are in `results/`; "
        "what they hold is under [Results](results.md).\n"
    ]
    for path in INCLUDE.findall((workflow / "Snakefile").read_text(encoding="utf-8")):
        text = (workflow / path).read_text(encoding="utf-8")
        rows = [
            f"| `{rule.name}` | {rule.summary} | {_files(rule.outputs)} |"
            for rule in read_rules(text, workflow / "scripts")
        ]
        if rows:
            parts += [f"## {_title(text)}\n", f"`workflow/{path}`\n"]
            parts += ["| rule | does | makes |\n|---|---|---|", *rows, ""]
    return "\n".join(parts)


def read_rules(text: str, scripts: Path) -> Iterator[Rule]:
    """Read the rules of one file; a copy of a rule is said to be one."""
    for match in RULE.finditer(text):
        directives = dict(DIRECTIVE.findall(match["body"]))
        if match["base"]:
            changed = " and ".join(key.replace("_", " ") for key in directives)
            yield Rule(match["copy"], [], f"As `{match['base']}`, with other {changed}.")
            continue
        (script,) = SCRIPT.findall(directives["shell"])
        yield Rule(
            match["name"],
            OUTPUT.findall(directives["output"]),
            _first_sentence(scripts / script),
        )


def _title(text: str) -> str:
    """Return the first words of the comment that opens a file of rules."""
    return re.split(r"[:.,]", text.splitlines()[0].removeprefix("# "))[0]


def _files(outputs: list[str]) -> str:
    """List files, those that differ in their suffix alone as one."""
    suffixes: dict[str, list[str]] = {}
    for output in outputs:
        stem, _, suffix = output.rpartition(".")
        suffixes.setdefault(stem, []).append(f".{suffix}")
    return "<br>".join(f"`{stem}{', '.join(kinds)}`" for stem, kinds in suffixes.items())


def _first_sentence(script: Path) -> str:
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return re.sub(r" \(rules? .*\)", "", docstring.splitlines()[0])
