"""Errors of the settings: one type for each thing that an operator can act on."""

from collections.abc import Iterable


class SettingsError(Exception):
    """The settings can't be read or written. The file is unchanged."""


class NameTaken(SettingsError):
    """Another connection has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Another connection is called “{name}”. Nothing was saved. Choose another name."
        )


class NoConnections(SettingsError):
    """No connection exists yet."""

    def __init__(self) -> None:
        super().__init__("No connections yet. Create one with: amp-console connect NAME …")


class SeveralConnections(SettingsError):
    """There are several connections, and none was named."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(f"There are several connections: {', '.join(names)}. Name one of them.")


class UnknownConnection(SettingsError):
    """No connection has this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(_unknown("connection", name, known, "create", "connect NAME …"))


class UnknownSource(SettingsError):
    """The connection has no source of this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(_unknown("source", name, known, "add", "source add NAME URL"))


def _unknown(kind: str, name: str, known: Iterable[str], create: str, command: str) -> str:
    there = ", ".join(known)
    do = f"Known {kind}s: {there}. Use one of them, or {create}" if there else create.capitalize()
    return f"There is no {kind} called “{name}”. {do} one with: amp-console {command}"
