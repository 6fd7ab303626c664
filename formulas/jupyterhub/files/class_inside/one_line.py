"""The hub's log with one line for each message.

Messages quote what people send, such as names of servers. A line break in it would begin a line that looks like one of
the hub's own, and `coursehub status` reads these.
"""

import logging
import re

from jupyterhub.log import CoroutineLogFormatter

#: Characters of a message. A person may send a megabyte, and the journal keeps a limited amount for everybody.
CHARACTERS = 4000
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def visible(message: str) -> str:
    """Return a message with its line breaks and other control characters escaped, and not longer than CHARACTERS."""
    cut = message if len(message) <= CHARACTERS else f"{message[:CHARACTERS]}... ({len(message)} characters)"
    return _INVISIBLE.sub(lambda found: repr(found[0])[1:-1], cut)


class OneLine(CoroutineLogFormatter):
    """JupyterHub's formatter. A traceback still has many lines; they are indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text for one record."""
        record.msg, record.args = visible(record.getMessage()), ()
        return str(super().format(record))
