"""What the verbs work with: a connection, its ledger, a client of its project."""

from dataclasses import dataclass

from amp_console.amplitude import AmplitudeClient, checked_base_url, region_url
from amp_console.connections import Connection
from amp_console.engage import FieldMapping, ReadOptions
from amp_console.ledger import Db, Ledger
from amp_console.ledger.audiences import AudienceNotFound, find_audience
from amp_console.values import Credentials


@dataclass(frozen=True, slots=True)
class Workspace:
    """One connection with its ledger open."""

    connection: Connection
    ledger: Ledger

    def client(self, credentials: Credentials) -> AmplitudeClient:
        """Return a client for this connection's project."""
        return client_for(self.connection, credentials)

    def read_options(self, **more: object) -> ReadOptions:
        """How this connection's events are read. Raises `MappingError`."""
        paths = self.connection.user_id_path, self.connection.amplitude_id_path
        return ReadOptions(mapping=FieldMapping.parse(*paths), **more)  # type: ignore[arg-type]


def audience_options(db: Db, name: str) -> dict[str, object]:
    """Return the read options that keep the audience called `name`; a new one has it as its key.

    Raises `AudienceAmbiguous`.
    """
    try:
        known = find_audience(db, name)
    except AudienceNotFound:
        return {"audience": name}
    return {"audience": known.key, "ref": known.ref}


def client_for(connection: Connection, credentials: Credentials) -> AmplitudeClient:
    """Return a client for a connection's project."""
    base_url = connection.base_url
    url = checked_base_url(base_url) if base_url else region_url(connection.region)
    return AmplitudeClient(url, credentials, timeout=connection.limits.timeout)
