from pathlib import Path

import numpy
import pytest

from fimtiers import provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a module `a` that imports `b`, and `b` that imports nothing."""
    root = tmp_path / "fimtiers"
    (root / "parts").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "parts" / "__init__.py").write_text("")
    (root / "a.py").write_text(
        "import numpy\nfrom fimtiers.parts import b\n\n\ndef f():\n    return b.g()\n"
    )
    (root / "parts" / "b.py").write_text("def g():\n    return 1\n")
    (root / "c.py").write_text("X = 1\n")
    monkeypatch.setattr(provenance, "SOURCE", tmp_path)
    return root


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_closure_holds_what_is_imported_and_the_parent_packages(package):
    assert list(provenance.code_closure("fimtiers.a")) == [
        "fimtiers",
        "fimtiers.a",
        "fimtiers.parts",
        "fimtiers.parts.b",
    ]


def test_a_function_level_import_belongs_to_the_closure(package):
    edited(package / "a.py", "    return b.g()", "    import fimtiers.c\n    return b.g()")
    assert "fimtiers.c" in provenance.code_closure("fimtiers.a")


def test_a_relative_import_belongs_to_the_closure(package):
    (package / "parts" / "d.py").write_text("from . import b\nfrom ..c import X\n")
    closure = provenance.code_closure("fimtiers.parts.d")
    assert {"fimtiers.parts.b", "fimtiers.c"} <= set(closure)


def test_an_import_for_type_checking_does_not_belong_to_the_closure(package):
    edited(
        package / "a.py",
        "import numpy\n",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    import fimtiers.c\n",
    )
    assert "fimtiers.c" not in provenance.code_closure("fimtiers.a")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def g():\n", '"""New module docstring."""\n\n\ndef g():\n'),
        ("    return 1", '    """New docstring."""\n    return 1'),
        ("    return 1", "    # a comment\n    return 1"),
        ("    return 1", "    return (\n        1\n    )"),
        ("def g():\n", "SETTINGS = {'probes': {'description': 'new'}}\n\n\ndef g():\n"),
    ],
)
def test_comments_docstrings_layout_and_setting_descriptions_do_not_count(package, old, new):
    before = provenance.code_closure("fimtiers.a")
    edited(package / "parts" / "b.py", old, new)
    assert provenance.code_closure("fimtiers.a") == before


def test_an_edit_of_an_imported_module_changes_just_its_hash(package):
    before = provenance.code_closure("fimtiers.a")
    edited(package / "parts" / "b.py", "return 1", "return 2")
    after = provenance.code_closure("fimtiers.a")
    assert {name for name in after if after[name] != before[name]} == {"fimtiers.parts.b"}


FUNCTIONS = """
import fimtiers.c
from fimtiers.parts import b

SCALE = 2
LOW, (HIGH, *REST) = 0, (1, 2)
USED, b.table = 3, 4
register()


def build():
    return scaled(b.g())


def scaled(x):
    return SCALE * x


def measure():
    return fimtiers.c.X + HIGH
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("return scaled(b.g())", "return scaled(b.g()) + 1", True),
        ("SCALE * x", "SCALE + x", True),
        ("SCALE = 2", "SCALE = 3", True),
        ("register()", "register(1)", True),
        ("USED, b.table = 3, 4", "USED, b.table = 3, 5", True),
        ("LOW, (HIGH, *REST) = 0", "LOW, (HIGH, *REST) = 5", False),
        ("return fimtiers.c.X", "return 2 * fimtiers.c.X", False),
        ("import fimtiers.c", "import fimtiers.c, numpy", False),
    ],
)
def test_of_one_function_counts_what_it_reaches_by_name(package, old, new, counts):
    (package / "d.py").write_text(FUNCTIONS)
    before = provenance.code_closure("fimtiers.d:build")
    assert "fimtiers.parts.b" in before
    assert "fimtiers.c" not in before
    edited(package / "d.py", old, new)
    assert (provenance.code_closure("fimtiers.d:build") != before) == counts


def test_of_one_function_count_the_packages_it_reaches(package):
    (package / "d.py").write_text(FUNCTIONS.replace("import fimtiers.c", "import numpy as c"))
    assert provenance.package_versions("fimtiers.d:build") == {}
    assert provenance.package_versions("fimtiers.d") == {"numpy": numpy.__version__}


def test_a_missing_function_is_an_error_that_names_it(package):
    with pytest.raises(AttributeError, match="defines no 'h'"):
        provenance.code_closure("fimtiers.a:h")


def test_the_frame_of_a_job_is_named_and_its_edits_do_not_count(package):
    (package / "job.py").write_text("X = 1\n")
    before = provenance.code_closure("fimtiers.job")
    edited(package / "job.py", "X = 1", "X = 2")
    assert provenance.code_closure("fimtiers.job") == before


def test_a_missing_root_is_an_error_that_names_it(package):
    with pytest.raises(ModuleNotFoundError, match=r"fimtiers\.nothing"):
        provenance.code_closure("fimtiers.nothing")


def test_package_versions_name_what_the_closure_imports(package):
    assert provenance.package_versions("fimtiers.a") == {"numpy": numpy.__version__}
    edited(package / "a.py", "import numpy", "import not_installed_anywhere")
    assert provenance.package_versions("fimtiers.a") == {"not_installed_anywhere": "absent"}


def test_every_script_of_the_workflow_has_a_closure():
    scripts = sorted((Path(__file__).parents[2] / "workflow/scripts").glob("*.py"))
    assert scripts
    for script in scripts:
        assert "fimtiers.job" in provenance.code_closure(script)


def test_the_snakefile_side_of_the_package_imports_nothing_heavy():
    # matplotlib only to read the formulas of labels that have any.
    for module in ("fimtiers.study", "fimtiers.provenance"):
        assert set(provenance.package_versions(module)) <= {"jsonschema", "matplotlib", "yaml"}
