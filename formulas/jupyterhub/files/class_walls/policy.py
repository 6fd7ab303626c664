"""What the hub's pages may load: a Content-Security-Policy that runs only the scripts of the hub's own templates.

Each answer has its own nonce. It is put into the templates' source before any value is filled in, so a script that
comes in through a value has none.
"""

import re
from typing import Any

from jinja2.ext import Extension

TAGS = re.compile(r"<(script|style)(?=[\s>])")
# The policy refuses style attributes. page.html hides the elements with this mark instead.
HIDDEN = re.compile(r'style="display:\s*none;?"')


class Nonces(Extension):
    """Gives each script and style of a template the nonce of the answer, the variable ``csp_nonce``."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002
        """Return the template's source with nonces."""
        return HIDDEN.sub("data-starts-hidden", TAGS.sub(r'<\1 nonce="{{ csp_nonce }}"', source))


def page_policy(nonce: str, *, any_style: bool = False, forms_to: tuple[str, ...] = ()) -> str:
    """Return the policy of a page. ``any_style`` is for JupyterHub's admin page, which creates styles itself.

    ``forms_to``: other origins to which the answer to a form may redirect.
    """
    styles = "'unsafe-inline'" if any_style else f"'nonce-{nonce}'"
    return "; ".join(
        [
            "default-src 'none'",
            # Not 'self': on one domain students' files are there too. require.js has the nonce and may load its
            # modules.
            f"script-src 'nonce-{nonce}' 'strict-dynamic'",
            f"style-src 'self' {styles}",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            " ".join(["form-action 'self'", *forms_to]),
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


#: The policy of answers that are not pages.
API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def headers(policy: str) -> dict[str, Any]:
    """Return the headers that protect an answer of the hub."""
    return {
        "Content-Security-Policy": policy,
        # Separates the page from a window that opened it: nginx makes sure that no student's page has this value.
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
