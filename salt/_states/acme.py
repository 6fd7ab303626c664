"""A certificate for every name that DNS points at this server.

The work is done by `coursehub-cert` (formula letsencrypt), which a timer runs too: one code path for the first
certificate, for a name that comes later and for a CA that did not answer.
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
    """Have the certificate that `/etc/coursehub/cert.json` describes.

    A certificate that could not be had is told loudly (`WARNING` in the comment, and `warnings`) but does not fail
    the state: the server goes on with the one it has or a self-signed one, the timer tries again, and what else
    the highstate brings is not held up. Only a configuration that cannot be read fails it.

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
    # Some warnings carry nothing secret, and the exit code says no more than the document does.
    done = __salt__["cmd.run_all"](
        [SCRIPT, "plan" if testing else "run"], python_shell=False, ignore_retcode=True, output_loglevel="quiet"
    )
    try:
        outcome = json.loads(done["stdout"].splitlines()[-1])
    except (ValueError, IndexError):
        ret["result"] = False
        told = (done["stderr"].strip() or done["stdout"].strip() or "it said nothing").splitlines()[-1]
        ret["comment"] = f"coursehub-cert failed: {told}"
        return ret
    return _tell(ret, outcome, testing)


def _tell(ret: dict[str, Any], outcome: dict[str, Any], testing: bool) -> dict[str, Any]:
    """Turn the script's document into a state's return."""
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
