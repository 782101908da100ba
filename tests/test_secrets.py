"""No key is ever written anywhere: with markers as keys, every byte is searched."""

import base64
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Answer, Call, Cut, RefuseIds, Reset, Rule, Simulator
from amp_console.values import Credentials, Secret
from tests.cli.operator import Operator
from tests.sync.workspace import event, ndjson

API_KEY, SECRET_KEY = "canary-api-key-5d1f", "canary+secret/key=77ab"


def shapes() -> list[bytes]:
    """The forms that a key could have in a file."""
    pair = f"{API_KEY}:{SECRET_KEY}".encode()
    raw = [API_KEY.encode(), SECRET_KEY.encode()]
    encoded = [base64.b64encode(item) for item in (*raw, pair)]
    quoted = [urllib.parse.quote(item, safe="").encode() for item in (API_KEY, SECRET_KEY)]
    inner = [base64.b64encode(pair)[3:-4]]
    return [*raw, *encoded, *quoted, *inner]


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    keys = Credentials(Secret(API_KEY), Secret(SECRET_KEY))
    with Simulator(credentials=keys) as simulator:
        yield Operator(tmp_path, simulator)


def test_no_file_and_no_output_holds_a_key(operator: Operator, tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    lines = [event(f"u{n}", True) for n in range(30)]
    events.write_text(ndjson(lines) + "{broken\n")
    faults = operator.simulator.faults
    said = []
    for rules, *command in (
        ([], "connect", "x", "--app-id", "7", "--owner-email", "no", "--keys-stdin"),
        ([], "connect", "bad", "--app-id", "7", "--owner-email", "a@b.example", "--region", "x"),
    ):
        faults.set(rules)
        said.append(operator.run(*command, stdin=f"{API_KEY}\n{SECRET_KEY}\n".encode()))
    said.append(operator.connect("acme", "--save-keys"))
    said.append(operator.connect())
    operator.limit(tries=2, first_wait=0.001)
    for rule in (
        Rule(Answer(500), every=2),
        Rule(Answer(502, html=True), every=2),
        Rule(Reset(applied=True), every=2),
        Rule(Cut(), every=2),
        Rule(RefuseIds(frozenset({"u3"}))),
        Rule(Answer(403), calls=frozenset({Call.MEMBERSHIP})),
    ):
        faults.set([rule])
        said.append(operator.run("sync", "--from", events, "--yes", "--json"))
        said.append(operator.run("sync", "--yes"))
        said.append(operator.run("audience", "shoppers", "--unlink"))
    said += [
        operator.run(*command)
        for command in (
            ["doctor"],
            ["connections"],
            ["connections", "--json"],
            ["audiences"],
            ["runs"],
            ["errors"],
            ["errors", "--csv", str(tmp_path / "errors.csv")],
            ["disconnect", "acme", "--yes"],
        )
    ]
    assert {ended.status for ended in said} >= {0, 1, 2, 3}
    texts = [(ended.out + ended.err).encode() for ended in said]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    for shape in shapes():
        assert not any(shape in text for text in texts), shape
        assert not any(shape in content for content in files), shape


def test_the_search_would_find_one(tmp_path: Path) -> None:
    """The test above can fail: a header written down would be found."""
    pair = base64.b64encode(f"{API_KEY}:{SECRET_KEY}".encode())
    assert any(shape in b"Authorization: Basic " + pair for shape in shapes())
