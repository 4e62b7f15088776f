"""The journal of attempts: which request carried which events, when, and what was answered.

For people only (`turnout explain`): nothing is decided by it, so it is never synced, and what cannot
be written is lost, said and counted. docs/formats.md has the layout.
"""

from dataplane.deliver.journal.format import Attempt, Filtering, Origin
from dataplane.deliver.journal.reader import ends, find, referenced
from dataplane.deliver.journal.writer import Journal

__all__ = ["Attempt", "Filtering", "Journal", "Origin", "ends", "find", "referenced"]
