"""``config/README.md``, the reference of every option, made from the schemas.

Run ``python -m fimtiers.config_reference`` to write it again after a change of a schema or of the
``SETTINGS`` of a substrate.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fimtiers.study import SUBSTRATES, substrate_names, substrate_settings

REPOSITORY = Path(__file__).parents[2]
SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"
REFERENCE = REPOSITORY / "config/README.md"
INTRODUCTION = """\
# Configuration

`config.yaml` is the default study, `smoke.yaml` makes it small. A study of your own goes into a
file of its own, for example `my-study.yaml` in the root of the clone:

```sh
.venv/bin/snakemake --cores 8 --configfile my-study.yaml
```

It is a whole study: `systems`, `panel` and `statistics` must be there. It writes over the default
study's `results/` and `logs/`, so give it folders of its own:

```yaml
pathvars:
  results: results/mine
  logs: logs/mine
```

A file of changes lies on top of another study. It has only what changes, and comes last; `null`
removes an entry:

```sh
.venv/bin/snakemake --cores 8 --configfile config/config.yaml my-changes.yaml
```

Seeds are set for each system; `seeds` and `more_seeds` at the top set or add to all of them at
once, in a file or on the command line:

```sh
.venv/bin/snakemake --cores 8 --config more_seeds=5
```

Every entry is checked before a job starts. This page is made from the schemas by
`PYTHONPATH=src .venv/bin/python -m fimtiers.config_reference`.

A system is one entry under `systems`. With a `sweep`, it has a point for each combination of the
listed values; all its seeds are computed together. Changing an entry re-runs what depends on it.

```yaml
systems:
  my_chain:
    substrate: ising_chain
    group: rest
    seeds: [0, 1, 2]
    settings: {probes: 64}
    sweep: {sites: [64, 128, 256]}
```
"""


def main() -> None:
    """Write the reference."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    REFERENCE.write_text(render(schema), encoding="utf-8")


def render(schema: Mapping[str, Any]) -> str:
    """Return the reference as Markdown.

    Parameters
    ----------
    schema
        JSON Schema of the configuration.
    """
    nested = ("properties", "additionalProperties")
    properties = schema["properties"].items()
    plain = {name: entry for name, entry in properties if not any(key in entry for key in nested)}
    parts = [INTRODUCTION, f"## The whole study\n\n{_table(plain, schema)}"]
    for name in ("pathvars", "systems", "panel", "statistics"):
        section = schema["properties"][name]
        entries = section.get("properties") or schema["$defs"]["system"]["properties"]
        title = "systems.NAME" if name == "systems" else name
        parts.append(f"## `{title}`\n\n{section['description']}\n\n{_table(entries, schema)}")
    sweep = schema["$defs"]["sweep"]["properties"]
    for title, entries in (
        ("mechanism", schema["properties"]["mechanism"]["properties"]),
        ("mechanism.sweeps.NAME", sweep),
        ("mechanism.sweeps.NAME.published", sweep["published"]["properties"]),
    ):
        parts.append(f"## `{title}`\n\n{_table(entries, schema)}")
    parts.append("## Settings of the substrates\n")
    for substrate in substrate_names():
        parts.append(
            f"### `{substrate}`\n\n{_summary(substrate)}\n\n"
            f"{_table(substrate_settings(substrate), schema)}"
        )
    return "\n".join(parts)


def _table(entries: Mapping[str, Mapping[str, Any]], schema: Mapping[str, Any]) -> str:
    rows = ["| entry | allowed | default | meaning |", "|---|---|---|---|"]
    for name, entry in entries.items():
        default = f"`{json.dumps(entry['default'])}`" if "default" in entry else ""
        rows.append(
            f"| `{name}` | {_allowed(entry, schema)} | {default} | {entry['description']} |"
        )
    return "\n".join(rows) + "\n"


def _allowed(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in entry:
        entry = schema["$defs"][entry["$ref"].rpartition("/")[2]]
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    kind = entry.get("type", "any value")
    if kind == "array":
        inner = _allowed(entry["items"], schema) if "items" in entry else "values"
        return f"list of {inner}"
    return ", ".join([kind if isinstance(kind, str) else " or ".join(kind), *_limits(entry)])


def _limits(entry: Mapping[str, Any]) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    yield from (f"{sign} {entry[key]}" for key, sign in signs.items() if key in entry)


def _summary(substrate: str) -> str:
    """Return the first sentence of the substrate's documentation."""
    text = (
        ast.get_docstring(ast.parse((SUBSTRATES / f"{substrate}.py").read_text(encoding="utf-8")))
        or ""
    )
    return text.split("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    main()
