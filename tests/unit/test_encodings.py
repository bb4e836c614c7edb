"""Every text file is read and written as UTF-8, whatever the locale of the machine."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = [
    path
    for folder in ("src", "workflow/scripts", "docs/hooks", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
SNAKEFILES = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
TEXT = {"open", "fdopen", "read_text", "write_text", "to_csv", "read_csv", "to_html"}
TEXT |= {"FileHandler", "NamedTemporaryFile", "savetxt", "loadtxt", "genfromtxt"}
"""Functions that take the encoding of the locale if none is stated."""
RUNNING = {"run", "Popen", "check_output"}
"""Functions that do, if asked for text."""
CALL = re.compile(rf"\b(?:{'|'.join(sorted(TEXT))})\(((?:[^()]|\([^()]*\))*)\)")


def unstated(source):
    """Lines of the calls that read or write text and do not say in which encoding."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and _needs_encoding(node)
    ]


def _needs_encoding(call):
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    keywords = {keyword.arg for keyword in call.keywords}
    if name in RUNNING:
        return bool({"text", "universal_newlines"} & keywords) and "encoding" not in keywords
    if name not in TEXT or "encoding" in keywords or ast.unparse(call.func) == "os.open":
        return False
    constants = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    constants += [key.value.value for key in call.keywords if isinstance(key.value, ast.Constant)]
    return not any(
        isinstance(value, str) and re.fullmatch("[rwax+]*b[+]?", value) for value in constants
    )


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_states_the_encoding_of_all_that_it_reads_and_writes(path):
    assert unstated(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SNAKEFILES, ids=lambda path: path.name)
def test_a_file_of_rules_states_the_encoding_of_all_that_it_reads(path):
    calls = CALL.findall(path.read_text(encoding="utf-8"))
    assert [arguments for arguments in calls if "encoding" not in arguments] == []


@pytest.mark.parametrize(
    "source",
    [
        "open(path)",
        "path.open('w')",
        "path.read_text()",
        "table.to_csv(path)",
        "subprocess.run(command, text=True)",
        "logging.FileHandler(path, mode='w')",
    ],
)
def test_a_call_without_an_encoding_is_found(source):
    assert unstated(source) == [1]


@pytest.mark.parametrize("source", ["path.open('rb')", "open(path, mode='ab')", "run(command)"])
def test_a_call_for_bytes_is_let_through(source):
    assert unstated(source) == []
