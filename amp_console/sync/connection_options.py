"""What a connection's settings determine: a client for its project, and how to read events."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from amp_console.connections import Connection, SettingsError
from amp_console.engage import FieldMapping, ReadOptions
from amp_console.ledger import Db
from amp_console.ledger.audiences import AudienceNotFound, find_audience
from amp_console.values import Credentials, Region

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient


def client_for(
    connection: Connection,
    credentials: Credentials,
    region_urls: Mapping[Region, str] | None = None,
) -> "AmplitudeClient":
    """Return a client for a connection's project, with the time-outs of its limits.

    `region_urls` replace the addresses of Amplitude's regions. Raises `SettingsError`.
    """
    # Not at the top: the HTTP library costs 0.1 s, and whatever reads the ledger alone needs none.
    from amp_console.amplitude.client import AmplitudeClient  # noqa: PLC0415
    from amp_console.amplitude.hosts import region_url  # noqa: PLC0415

    if connection.base_url:
        url = edited_base_url(connection.base_url, f"the connection “{connection.name}”")
    elif region_urls is not None:
        url = region_urls[connection.region]
    else:
        url = region_url(connection.region)
    return AmplitudeClient(url, credentials, timeout=connection.limits.timeout)


def edited_base_url(text: str, owner: str) -> str:
    """Return the base URL in the settings of an `owner`, which may have been edited by hand.

    Raises `SettingsError`.
    """
    from amp_console.http.addresses import checked_base_url  # noqa: PLC0415  # as above

    try:
        return checked_base_url(text)
    except ValueError as error:
        raise SettingsError(
            f"The settings of {owner} can't be used. {error} Nothing was sent. Correct its "
            "base_url in the settings file."
        ) from None


def read_options(connection: Connection, **more: object) -> ReadOptions:
    """Return how a connection's events are read. Raises `MappingError`."""
    mapping = FieldMapping.parse(connection.user_id_path, connection.amplitude_id_path)
    return ReadOptions(mapping=mapping, **more)  # type: ignore[arg-type]


def audience_options(db: Db, name: str) -> dict[str, object]:
    """Return the read options for the audience called `name` alone; a new one has it as its key.

    Raises `AudienceAmbiguous`.
    """
    try:
        known = find_audience(db, name)
    except AudienceNotFound:
        return {"audience": name}
    return {"audience": known.key, "ref": known.ref}
