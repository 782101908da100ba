"""The exit status of each failure."""

from amp_console.amplitude import AmplitudeError, KeysRefused, NetworkMisconfigured
from amp_console.cli.exits import Exit
from amp_console.connections import KeysError, SettingsError
from amp_console.connections.read_only import ReadOnly
from amp_console.engage import MappingError, UnreadableSource
from amp_console.ledger import LedgerError
from amp_console.ledger.audiences import AudienceAmbiguous, AudienceNotFound
from amp_console.ledger.backups import BackupSkipped
from amp_console.ledger.errors import LedgerOfAnotherProject, PlaintextRefused
from amp_console.ledger.locks import AudienceBusy
from amp_console.ledger.moving import LedgerNotEmpty
from amp_console.segment import SegmentError, SegmentMisconfigured, TokenRefused
from amp_console.sync.audience_settings import SettingsConflict
from amp_console.sync.export import ExportError
from amp_console.sync.ledger_choice import LedgerNotSwitched
from amp_console.sync.ledgers import LedgerMisconfigured
from amp_console.sync.sources.protocols import CannotBind
from amp_console.sync.sources.warehouse import WarehouseError

_STATUS: dict[type[Exception], Exit] = {
    KeysError: Exit.KEYS,
    KeysRefused: Exit.KEYS,
    NetworkMisconfigured: Exit.MISUSE,
    AmplitudeError: Exit.STOPPED,
    TokenRefused: Exit.KEYS,
    SegmentMisconfigured: Exit.MISUSE,
    SegmentError: Exit.STOPPED,
    LedgerMisconfigured: Exit.MISUSE,
    LedgerNotSwitched: Exit.MISUSE,
    LedgerOfAnotherProject: Exit.MISUSE,
    PlaintextRefused: Exit.MISUSE,
    LedgerNotEmpty: Exit.MISUSE,
    LedgerError: Exit.STOPPED,
    AudienceBusy: Exit.STOPPED,
    SettingsConflict: Exit.STOPPED,
    BackupSkipped: Exit.STOPPED,
    SettingsError: Exit.MISUSE,
    MappingError: Exit.MISUSE,
    UnreadableSource: Exit.MISUSE,
    AudienceNotFound: Exit.MISUSE,
    AudienceAmbiguous: Exit.MISUSE,
    ReadOnly: Exit.MISUSE,
    CannotBind: Exit.MISUSE,
    WarehouseError: Exit.MISUSE,
    ExportError: Exit.MISUSE,
}


def failure(error: Exception) -> Exit | None:
    """Return the exit status for an error that an operator can act on; None for a defect."""
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    return None
