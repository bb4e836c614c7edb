"""Equal settings are equal values, however they are written."""

import json

import pytest

from fimtiers.declared import as_declared, entries_as_declared

NUMBER = {"type": "number"}


@pytest.mark.parametrize(
    ("value", "schema", "declared"),
    [
        (100, NUMBER, 100.0),
        (None, {"type": ["number", "null"]}, None),
        (1, {"type": ["number", "null"]}, 1.0),
        (8, {"type": "integer"}, 8),
        (True, NUMBER, True),
        (1.0, {"enum": [1, 2]}, 1),
        (1, {"enum": [True, 1]}, 1),
        ([1, 2.0], {"type": "array", "items": NUMBER}, [1.0, 2.0]),
        (
            {"b": 1, "a": 2},
            {"properties": {"a": NUMBER, "b": {"type": "integer"}}},
            {"a": 2.0, "b": 1},
        ),
    ],
)
def test_a_value_has_the_type_that_its_schema_declares(value, schema, declared):
    assert json.dumps(as_declared(value, schema)) == json.dumps(declared)


def test_entries_are_in_the_order_of_their_table():
    entries = entries_as_declared({"c": 0, "z": 0, "a": 0, "y": 0}, {"a": {}, "b": {}, "c": {}})
    assert list(entries) == ["a", "c", "y", "z"]
