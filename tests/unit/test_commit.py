"""The commit of a checkout follows what can change a result, and nothing else."""

import subprocess

import pytest

from fimtiers.commit import NO_CHECKOUT, commit_of

IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
FILES = {
    "src/module.py": '"""Text."""\n\nTWO = 2  # a comment\n',
    "workflow/rules/some.smk": 'rule some:\n    output: "a"\n',
    "config/config.yaml": "a: 1\nb: {memory: 5}\n",
    "workflow/profiles/slurm/profile.yaml": "jobs: 1\n",
    "config/README.md": "text\n",
    "docs/page.md": "text\n",
}


def git(folder, *arguments):
    command = ["git", *IDENTITY, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, encoding="utf-8")
    return done.stdout.strip()


def commit_all(folder):
    git(folder, "add", ".")
    git(folder, "commit", "--message", "Change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    git(tmp_path, "init")
    commit_all(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/module.py", '"""Text."""\n\nTWO = 3  # a comment\n'),
        ("src/module.py", "TWO = (\n"),
        ("workflow/rules/some.smk", 'rule some:\n    output: "b"\n'),
        ("config/config.yaml", "a: 2\nb: {memory: 5}\n"),
        ("config/config.yaml", "a: [\n"),
    ],
)
def test_what_computes_something_else_is_dirty_until_it_is_committed(checkout, name, text):
    commit = git(checkout, "rev-parse", "HEAD")
    assert commit_of(checkout) == commit
    (checkout / name).write_text(text, encoding="utf-8")
    assert commit_of(checkout) == f"{commit}-dirty"
    assert commit_of(checkout) != commit_all(checkout) == commit_of(checkout)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/module.py", '"""Other text."""\n\nTWO = 2\n'),
        ("workflow/rules/some.smk", '# Why.\nrule some:\n    output: "a"\n'),
        ("config/config.yaml", "# Why.\nb: {memory: 6, runtime: 1}\na: 1.0\n"),
        ("workflow/profiles/slurm/profile.yaml", "jobs: 2\n"),
        ("config/README.md", "other text\n"),
        ("docs/page.md", "other text\n"),
        ("src/new.py", "NOT = 'tracked'\n"),
    ],
)
def test_what_computes_the_same_is_not_dirty(checkout, name, text):
    (checkout / name).write_text(text, encoding="utf-8")
    assert commit_of(checkout) == git(checkout, "rev-parse", "HEAD")


def test_a_commit_of_pages_alone_is_not_the_commit_of_the_code(checkout):
    commit = commit_of(checkout)
    (checkout / "docs/page.md").write_text("other text\n", encoding="utf-8")
    assert commit_all(checkout) != commit == commit_of(checkout)


def test_a_deleted_file_is_dirty(checkout):
    (checkout / "src/module.py").unlink()
    assert commit_of(checkout).endswith("-dirty")


def test_a_folder_in_a_checkout_is_no_checkout(checkout):
    assert commit_of(checkout / "src") == NO_CHECKOUT


def test_a_checkout_on_a_machine_without_git_says_why(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit_of(checkout).startswith("unknown, ")
