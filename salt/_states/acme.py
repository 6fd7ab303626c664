"""A certificate for every name that DNS points at this server.

`coursehub-cert` (formula letsencrypt) does the work, and a timer runs it too. So there is one code path for the first
certificate, for a later name and for a CA that did not answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

#: Salt puts them into a state module when it loads one.
__opts__: dict[str, Any]
__salt__: dict[str, Callable[..., Any]]

SCRIPT = "/usr/local/sbin/coursehub-cert"


def certificate(name: str) -> dict[str, Any]:
    """Make sure that there is the certificate that `/etc/coursehub/cert.json` describes.

    If it cannot be ordered, the state warns (`WARNING` in the comment, and `warnings`) but does not fail: the server
    keeps its certificate or a self-signed one, the timer tries again, and the highstate continues. Only a configuration
    that cannot be read fails the state.

    name
        The first name on the certificate.
    """
    ret: dict[str, Any] = {"name": name, "changes": {}, "result": True, "comment": ""}
    testing = __opts__["test"]
    if testing and not __salt__["file.file_exists"](SCRIPT):
        ret["result"] = None
        ret["comment"] = "A certificate would be asked for."
        ret["changes"] = {"certificate": "new"}
        return ret
    # Not logged as an error: the exit code says no more than the document.
    done = __salt__["cmd.run_all"](
        [SCRIPT, "plan" if testing else "run"], python_shell=False, ignore_retcode=True, output_loglevel="quiet"
    )
    try:
        outcome = json.loads(done["stdout"].splitlines()[-1])
    except (ValueError, IndexError):
        ret["result"] = False
        last = (done["stderr"].strip() or done["stdout"].strip() or "it said nothing").splitlines()[-1]
        ret["comment"] = f"coursehub-cert failed: {last}"
        return ret
    return _report(ret, outcome, testing)


def _report(ret: dict[str, Any], outcome: dict[str, Any], testing: bool) -> dict[str, Any]:
    """Convert the script's document to a state's return."""
    lines = []
    if outcome["covered"]:
        lines.append(f"Certificate for {', '.join(outcome['covered'])}, good until {outcome['expires'][:10]}.")
    if testing and outcome["wanted"]:
        ret["result"] = None
        ret["changes"] = {"certificate": outcome["reason"]}
        lines.append(f"A certificate would be asked for: {outcome['reason']}.")
    elif outcome["changed"]:
        ret["changes"] = {"certificate": outcome["reason"] or "in place", "names": outcome["covered"]}
    if outcome["warnings"]:
        ret["warnings"] = list(outcome["warnings"])
        lines.extend(f"WARNING {line}." for line in outcome["warnings"])
    ret["comment"] = "\n".join(lines) or "Nothing to do."
    return ret
