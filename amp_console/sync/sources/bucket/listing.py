"""Which objects a bucket lists, without those of days that are closed.

Segment archives into one folder per UTC day: `segment-logs/{source-id}/{day}/`, where `{day}` is
the start of the day as a Unix timestamp. Keys are listed in the order of their bytes, so folders
are in the order of their days, and a listing can begin at any of them at no cost.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from amp_console.engage import UnreadableSource
from amp_console.sync.sources.bucket.address import BucketAddress
from amp_console.sync.sources.bucket.client import BucketClient
from amp_console.sync.sources.bucket.errors import explain

if TYPE_CHECKING:
    from obstore import ObjectMeta

NO_DATA = ("dummy-object.txt",)
"""What Segment writes to check that it may write."""

_DAY = re.compile(r"((?:.*/)?segment-logs/[^/]+)/(\d{13}|\d{10})/", re.DOTALL)
DAY_SECONDS = 86_400
SECOND_DIGITS = 10  # of a time in seconds; in milliseconds it has three more


class DayFolder(NamedTuple):
    """The folder of a day in an archive: `start` in seconds since 1970 (UTC)."""

    archive: str
    start: int

    @classmethod
    def parse(cls, key: str) -> "DayFolder | None":
        """The day that an object belongs to; None outside of archives."""
        found = _DAY.match(key)
        if found is None:
            return None
        return cls(found[1], int(found[2][:SECOND_DIGITS]))


class ListedObject(NamedTuple):
    """An object as a listing shows it: `version` changes whenever its content does.

    `modified` in microseconds since 1970.
    """

    key: str
    version: str
    size: int
    modified: int

    @classmethod
    def from_meta(cls, meta: "ObjectMeta") -> "ListedObject":
        """Read what obstore says of an object."""
        modified = round(meta["last_modified"].timestamp() * 1_000_000)
        tag = (meta["e_tag"] or str(modified)).strip('"')  # Azure lists it without the quotes
        return cls(meta["path"], f'"{tag}"', meta["size"], modified)

    @property
    def is_data(self) -> bool:
        """Whether it may hold events: empty objects stand for folders."""
        return self.size > 0 and self.key.rpartition("/")[2] not in NO_DATA


def list_objects(
    client: BucketClient, address: BucketAddress, first_days: Mapping[str, int]
) -> Iterator[ListedObject]:
    """List the objects with data below an address, in the order of their keys.

    `first_days` says, for each archive, which day its listing begins with (seconds since 1970).
    Raises `UnreadableSource`, and `StreamClosed` once the client is closed.
    """
    import obstore  # noqa: PLC0415  # an optional extra

    first = first_days.get(address.prefix)
    offset = day_key(address.prefix, first) if first else None
    try:
        while True:
            skipped_to = None
            for page in client.pages(address.prefix or None, offset):
                for meta in page:
                    skipped_to = _skipped_to(meta["path"], first_days)
                    if skipped_to is not None:
                        break
                    item = ListedObject.from_meta(meta)
                    if item.is_data:
                        yield item
                if skipped_to is not None:
                    break
            if skipped_to is None:
                return
            offset = skipped_to
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        reason = explain(error, address, is_listing=True)
        raise UnreadableSource(
            f"{address.name} can't be listed. {reason} What was read before is kept."
        ) from None


def find_object(client: BucketClient, address: BucketAddress) -> ListedObject | None:
    """The one object with this address; None if there is none. Raises `UnreadableSource`."""
    import obstore  # noqa: PLC0415  # an optional extra

    try:
        return ListedObject.from_meta(client.head(address.prefix)) if address.prefix else None
    except (FileNotFoundError, ValueError):
        return None
    except (obstore.exceptions.BaseError, OSError) as error:
        reason = explain(error, address, is_listing=False)
        raise UnreadableSource(f"{address.name} can't be read. {reason}") from None


def _skipped_to(key: str, first_days: Mapping[str, int]) -> str | None:
    """The key from which to continue, if an object is from a day before the listed ones."""
    day = DayFolder.parse(key)
    first = first_days.get(day.archive, 0) if day else 0
    return day_key(day.archive, first) if day and day.start < first else None


def day_key(archive: str, start: int) -> str:
    """The key after which the objects of a day come (seconds since 1970), and those of later days.

    It is right for names in milliseconds, too: they begin with the same digits.
    """
    return f"{archive}/{start}"
