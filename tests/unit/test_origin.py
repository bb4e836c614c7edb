import json

import pandas as pd

from fimtiers.origin import describe_systems, describe_versions


def attributes(system, points, code="c0de", **versions):
    job = {"system": system, "substrate": "mlp", "seeds": [3, 5], "points": points}
    return {
        "settings": json.dumps(job),
        "fimtiers_version": "0.1.0",
        "code": code,
        "versions": json.dumps({"python": "3.11.7", **versions}),
    }


NET = attributes("net", [["a", {"depth": 2, "bias": True}], ["b", {"depth": 4, "bias": True}]])
CHAIN = attributes("chain", [["single", {"sites": 8}]], code="f00d", torch="2.0")
OLDER = attributes("chain", [["single", {"sites": 8}]], torch="1.9")


def test_a_version_is_counted_in_the_files_it_made_and_two_versions_are_two_rows():
    table = describe_versions([NET, CHAIN, OLDER], "abc")
    rows = {(row["name"], row["version"]): row["files"] for row in table.to_dict("records")}
    assert pd.isna(rows.pop(("commit of the checkout", "abc")))
    assert rows == {
        ("fimtiers", "0.1.0"): 3,
        ("python", "3.11.7"): 3,
        ("torch", "1.9"): 1,
        ("torch", "2.0"): 1,
    }


def test_a_system_is_described_by_its_settings_with_all_swept_values_and_the_code_of_each_stage():
    table = describe_systems(
        {"states": [NET, CHAIN], "tiers": [{**NET, "code": "beef"}, CHAIN]},
        {"net": "deep", "chain": "rest"},
    )
    assert table.to_dict("records") == [
        {
            "system": "net",
            "group": "deep",
            "substrate": "mlp",
            "seeds": "3, 5",
            "points": 2,
            "settings": "depth: 2, 4; bias: true",
            "states_code": "c0de",
            "tiers_code": "beef",
        },
        {
            "system": "chain",
            "group": "rest",
            "substrate": "mlp",
            "seeds": "3, 5",
            "points": 1,
            "settings": "sites: 8",
            "states_code": "f00d",
            "tiers_code": "f00d",
        },
    ]
