"""Which requests the hub answers, by what the browser itself says about them (Fetch Metadata).

A script cannot set or remove these headers, whatever origin it has. On a hub with one domain "same-origin" alone
proves nothing, as students' servers have the hub's origin. So pages are for people who open them (``navigate``) and the
API is for fetches of our own pages. JupyterHub then wants its XSRF token, which stands in a page that no script reads.
"""

from dataclasses import dataclass
from enum import Enum, auto

READS = frozenset({"GET", "HEAD"})
OURS = frozenset({"same-origin", "none"})
# The fetch of a page of ours, and its EventSource. Not "no-cors": JupyterHub wants no XSRF token then, though a script
# may read the answer where it is of the same origin.
FETCHES = frozenset({"cors", "same-origin"})


class Kind(Enum):
    """What a handler of the hub is."""

    # A person opens it.
    PAGE = auto()
    # A script of our own pages, or a program with a token, asks it.
    API = auto()
    # Another site's form may lead to it: a launch by an LMS, which is signed.
    LAUNCH = auto()


@dataclass(frozen=True)
class Asked:
    """What is known of a request before anybody looks who it is. Headers that are missing are empty."""

    kind: Kind
    method: str
    site: str
    mode: str
    dest: str
    origin: str
    own_origin: str


def refusal(asked: Asked) -> str:
    """Return why a request gets no answer, in a line for the person; empty when it gets one."""
    if not asked.site:
        # No browser of today. A program has no visitor's cookies to abuse; an old browser says "Origin" with a change.
        foreign = asked.method not in READS and asked.origin not in ("", asked.own_origin)
        return "Another site sent this form" if foreign and asked.kind is not Kind.LAUNCH else ""
    opened = asked.mode == "navigate" and asked.dest == "document"
    # A link on another site.
    linked = opened and asked.kind is Kind.PAGE and asked.method in READS
    if asked.site not in OURS and asked.kind is not Kind.LAUNCH and not linked:
        return "Another site asked for this"
    if asked.kind is Kind.API:
        answered = asked.mode in FETCHES and asked.dest in ("", "empty")
        return "" if answered else "This is for the hub's own pages and for programs with a token"
    return "" if opened else "Open this page itself: it does not answer scripts or frames"
