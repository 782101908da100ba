"""Testing a connection's keys, and what came of it in words that stand at the right field."""

import enum
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from amp_console.amplitude import (
    AmplitudeClient,
    AmplitudeError,
    KeysReason,
    KeysRefused,
    Transient,
)
from amp_console.connections import Connection
from amp_console.sync.connection_options import client_for
from amp_console.sync.queries.key_check import KeysAccepted, WrongRegion, check_keys
from amp_console.text import plural
from amp_console.values import Credentials, Region


class KeyVerdict(enum.Enum):
    """What a test came to. UNTESTED: no answer that says anything about the keys."""

    ACCEPTED = "accepted"
    OTHER_APP = "other app"
    REFUSED = "refused"
    UNTESTED = "untested"


TONES = {
    KeyVerdict.ACCEPTED: "good",
    KeyVerdict.OTHER_APP: "warn",
    KeyVerdict.REFUSED: "bad",
    KeyVerdict.UNTESTED: "warn",
}
"""The tone each verdict is said in."""


class KeyCheckResult(NamedTuple):
    """What a test came to; `field` is where it is told, "" for the form as a whole.

    `region` and `app_id` are what would be right instead, where that is known.
    """

    verdict: KeyVerdict
    text: str
    field: str = ""
    region: Region | None = None
    app_id: int | None = None


async def try_keys(
    connection: Connection,
    credentials: Credentials,
    region_urls: Mapping[Region, str] | None = None,
) -> KeyCheckResult:
    """Ask Amplitude for its cohorts with the keys; it costs none of the quotas.

    `region_urls` are asked instead of Amplitude's own addresses.
    """

    def client(region: Region) -> AmplitudeClient:
        of_region = msgspec.structs.replace(connection, region=region)
        return client_for(of_region, credentials, region_urls)

    has_other = connection.base_url is None
    try:
        accepted = await check_keys(client, connection.region, has_other=has_other)
    except WrongRegion as error:
        text = (
            f"Amplitude does not know these keys in {connection.region.label}: they belong to a "
            f"project in {error.region.label}."
        )
        return KeyCheckResult(KeyVerdict.REFUSED, text, "region", region=error.region)
    except KeysRefused as error:
        return _refused(connection, error)
    except Transient as error:
        return KeyCheckResult(KeyVerdict.UNTESTED, str(error))
    except AmplitudeError as error:
        return KeyCheckResult(KeyVerdict.REFUSED, str(error))
    return _accepted(connection, accepted)


def _refused(connection: Connection, error: KeysRefused) -> KeyCheckResult:
    if error.reason is KeysReason.UNKNOWN_KEY:
        here = connection.region
        where = f"in {here.label}, nor in {here.other.label}" if not connection.base_url else ""
        text = f"Amplitude does not know this API Key {where}".rstrip()
        return KeyCheckResult(KeyVerdict.REFUSED, f"{text}. Copy it again.", "api-key")
    if error.reason is KeysReason.WRONG_SECRET:
        text = "The API Key is right, but this is not its Secret Key."
        return KeyCheckResult(KeyVerdict.REFUSED, text, "secret-key")
    return KeyCheckResult(KeyVerdict.REFUSED, str(error))


def _accepted(connection: Connection, accepted: KeysAccepted) -> KeyCheckResult:
    cohorts = plural(accepted.cohorts, "cohort") if accepted.cohorts else "no cohorts yet"
    if not accepted.app_ids or connection.app_id in accepted.app_ids:
        return KeyCheckResult(
            KeyVerdict.ACCEPTED, f"Amplitude accepted the keys. This project has {cohorts}."
        )
    found = sorted(accepted.app_ids)
    named = ", ".join(map(str, found[:5]))
    return KeyCheckResult(
        KeyVerdict.OTHER_APP,
        f"The keys work, but their cohorts belong to App ID {named}: new cohorts may be refused.",
        "app-id",
        app_id=found[0] if len(found) == 1 else None,
    )
