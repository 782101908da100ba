"""Paths to the identifiers can be given more than once."""

import json
from pathlib import Path

from tests.cli.operator import Operator
from tests.sync.workspace import event


def test_the_first_path_that_is_there_counts(fresh: Operator, tmp_path: Path) -> None:
    paths = ("$.traits.amplitude_id", "$.properties.amplitude_id")
    options = [part for path in paths for part in ("--amplitude-id-path", path)]
    assert fresh.connect("acme", *options).status == 0
    identify = event("u1", True, traits={"amplitude_id": "101"})
    track = event("u2", True, properties={"amplitude_id": "102"})
    file = tmp_path / "events.ndjson"
    file.write_text(f"{json.dumps(identify)}\n{json.dumps(track)}\n")
    assert fresh.run("import", file).status == 0
    for user, other in (("u1", "101"), ("u2", "102")):
        (found,) = fresh.run("person", user, "--json").document["audiences"]
        assert found["other_id"] == other
