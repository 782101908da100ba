"""Environment settings that make connections impossible stop only what needs a connection."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Simulator
from amp_console.simulator.segment import SPACE_ID
from tests.cli.operator import Operator
from tests.sync.workspace import event

BAD = {
    "HTTPS_PROXY": "http://ana:example-password@proxy.example:99999",
    "ALL_PROXY": "gopher://ana:example-password@proxy.example",
    "SSL_CERT_FILE": "/nowhere/certificates.pem",
    "SSL_CERT_DIR": "/nowhere",
}


@pytest.fixture(scope="module")
def behind_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose connection goes to an https address."""
    with Simulator() as simulator:
        operator = Operator(tmp_path_factory.mktemp("home"), simulator)
        assert operator.connect().status == 0
        (settings,) = operator.home.rglob("*.toml")
        settings.write_text(settings.read_text().replace("http://127", "https://127"))
        yield operator


@pytest.mark.parametrize("variable", BAD)
def test_a_command_that_needs_the_network_ends_with_a_sentence(
    behind_tls: Operator, variable: str
) -> None:
    ended = behind_tls.run("sync", "--yes", without=BAD, more={variable: BAD[variable]})
    assert ended.status == 2
    assert f"because {variable} is invalid" in ended.err
    assert "Nothing was sent." in ended.err
    assert "Traceback" not in ended.err
    assert "example-password" not in ended.err


@pytest.mark.parametrize("variable", BAD)
def test_segment_connect_ends_in_the_same_way(behind_tls: Operator, variable: str) -> None:
    where = ("--space", SPACE_ID, "--base-url", "https://127.0.0.1:1", "--token-stdin")
    more = {variable: BAD[variable]}
    ended = behind_tls.run("segment", "connect", *where, stdin=b"token\n", without=BAD, more=more)
    assert ended.status == 2
    assert f"because {variable} is invalid" in ended.err
    assert "Nothing was saved." in ended.err
    assert "example-password" not in ended.err


def test_a_command_that_needs_none_is_not_held_up(behind_tls: Operator, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(json.dumps(event("u1", True)))
    more = {**BAD, "NO_PROXY": "::1,fe80::/10,["}
    for command in (("import", file), ("audiences",), ("errors",), ("sync", "--dry-run")):
        ended = behind_tls.run(*command, more=more)
        assert (ended.status, "Traceback" in ended.err) == (0, False), command


def test_the_doctor_lists_what_is_in_effect_without_passwords(behind_tls: Operator) -> None:
    proxy = "http://ana:example-password@proxy.example:3128"
    more = {"HTTPS_PROXY": proxy, "NO_PROXY": "10.0.0.0/8", "SSL_CERT_FILE": "/nowhere/ca.pem"}
    ended = behind_tls.run("doctor", more=more)
    assert ended.status == 1
    assert "HTTPS_PROXY: http proxy proxy.example:3128" in ended.out
    assert "NO_PROXY: no proxy for 10.0.0.0/8" in ended.out
    assert "SSL_CERT_FILE is invalid: /nowhere/ca.pem can't be read" in ended.out
    assert "ana" not in ended.out.replace(str(behind_tls.home), "").split("HTTPS_PROXY")[1][:80]
    assert "example-password" not in ended.out + ended.err


def test_a_base_url_that_was_edited_by_hand_to_nonsense_ends_with_a_sentence(
    simulator: Simulator, tmp_path: Path
) -> None:
    operator = Operator(tmp_path, simulator)
    assert operator.connect().status == 0
    (settings,) = operator.home.rglob("*.toml")
    settings.write_text(settings.read_text().replace("http://127", "ftp://127"))
    ended = operator.run("sync", "--yes")
    assert ended.status == 2
    assert "The settings of the connection “acme” can't be used." in ended.err
    assert "Nothing was sent. Correct its base_url" in ended.err


@pytest.mark.parametrize(
    "address", ["ftp://127.0.0.1", "https://ana:example-password@[", "https://"]
)
def test_the_doctor_finds_a_base_url_that_was_edited_by_hand_to_nonsense(
    simulator: Simulator, tmp_path: Path, address: str
) -> None:
    operator = Operator(tmp_path, simulator)
    assert operator.connect().status == 0
    assert f"acme: {simulator.base_url}" in operator.run("doctor").out
    (settings,) = operator.home.rglob("*.toml")
    settings.write_text(settings.read_text().replace(simulator.base_url, address))
    ended = operator.run("doctor")
    assert ended.status == 1
    (finding,) = [line for line in ended.out.splitlines() if "address" in line.split()[:2]]
    assert finding.startswith("check  address")
    assert "The settings of the connection “acme” can't be used." in finding
    assert "example-password" not in ended.out


def test_the_password_in_a_base_url_that_was_edited_by_hand_is_never_listed(
    simulator: Simulator, tmp_path: Path
) -> None:
    operator = Operator(tmp_path, simulator)
    assert operator.connect().status == 0
    (settings,) = operator.home.rglob("*.toml")
    text = settings.read_text()
    for address in ("https://ana:example-pass?word@host/x", "https://host/x?token=example-pass"):
        settings.write_text(text.replace(simulator.base_url, address))
        for command in (("connections",), ("connections", "--json"), ("doctor",), ("audiences",)):
            ended = operator.run(*command)
            assert "example-pass" not in ended.out + ended.err, command
        assert "https://" in operator.run("connections").out
        assert "***" in operator.run("connections").out


def test_a_home_of_an_unknown_user_ends_with_a_sentence(behind_tls: Operator) -> None:
    ended = behind_tls.run("connections", more={"AMP_CONSOLE_HOME": "~no-such-user/x"})
    assert ended.status == 2
    assert "AMP_CONSOLE_HOME is in the home folder of an unknown user." in ended.err
