"""What Segment Engage sends: bytes in, changes and refusals out.

`open_file` and `read_stream` read every format that Segment writes. A batch accounts for every
event in its part of the input, and knows nothing of what happens to the changes.
"""

from amp_console.engage.batch import EventBatch
from amp_console.engage.formats import SourceKind, UnreadableSource
from amp_console.engage.mapping import FieldMapping, MappingError
from amp_console.engage.source import ReadOptions, Source, open_file, read_stream, version_of
from amp_console.engage.trial import Trial, try_mapping

__all__ = [
    "EventBatch",
    "FieldMapping",
    "MappingError",
    "ReadOptions",
    "Source",
    "SourceKind",
    "Trial",
    "UnreadableSource",
    "open_file",
    "read_stream",
    "try_mapping",
    "version_of",
]
