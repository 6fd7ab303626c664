"""What a frame of another page shows, such as an LMS's, instead of the hub: a link that opens the hub in a window.

The hub itself never stands in a frame: a page around it could have people click what they do not see. This page knows
nobody, and its one link does no more than to open the hub.
"""

from typing import Any

from class_walls.fetch_metadata import Asked

POLICY = "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors *"
_STYLE = "body{font:18px/1.5 sans-serif;margin:2em;text-align:center}a{font-weight:bold}"
# Its SHA-256; a test holds them together.
_STYLE_HASH = "cFIHl6mHFNaE5Uwp0y6p2BXY/KQLF94kPJEITRYqQ7Y="
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f"<title>Open in a new window</title><style>{_STYLE}</style>"
    '<p>This course does not work inside another page.<p><a href="/" target="_blank" rel="noopener">Open it in a new '
    "window</a><p>Teachers: let your LMS open the link in a new window."
)


def in_a_frame(asked: Asked) -> bool:
    """Whether a frame of another page asks for a page."""
    return asked.mode == "navigate" and asked.dest in ("iframe", "frame", "embed", "object")


def show(handler: Any) -> None:
    """Answer with the link."""
    handler.set_status(403)
    handler.set_header("Content-Type", "text/html; charset=utf-8")
    handler.set_header("Content-Security-Policy", POLICY.format(style=_STYLE_HASH))
    handler.clear_header("Cross-Origin-Resource-Policy")
    handler.finish(_PAGE)
