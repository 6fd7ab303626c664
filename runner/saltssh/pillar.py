"""The pillar that the runner generates for a course: facts about its server and this computer.

It is written to ``.coursehub/pillar/runtime/<course>.sls`` with the formulas' own keys, so that salt-ssh typed by hand
gets the same pillar as the runner. It contains passwords only as hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from runner.files import write_private
from runner.people.passwords import Password
from runner.project import Project


def runtime(
    *,
    addresses: Iterable[str],
    acme_directory: str | None,
    extra_ca: Mapping[str, str],
    passwords: Mapping[str, Password],
    versions: Mapping[str, str] | None = None,
    backup: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The generated pillar.

    ``addresses`` are the server's public ones.
    If ``acme_directory`` is None, the school's own setting (pillar/site.sls) applies. ``extra_ca`` are PEM texts by
    name, ``versions`` the commits of repositories on this computer, by the repository's name. ``backup`` is the target
    of a course that names none.
    """
    letsencrypt: dict[str, Any] = {"addresses": list(addresses)}
    if acme_directory:
        letsencrypt["directory"] = acme_directory
    return {
        "letsencrypt": letsencrypt,
        "base": {"extra_ca": dict(extra_ca)},
        **(
            {"material": {"repositories": {name: {"version": it} for name, it in versions.items()}}} if versions else {}
        ),
        **({"backup": dict(backup)} if backup else {}),
        "accounts": {
            "people": {account: {"password_hash": password.hash} for account, password in sorted(passwords.items())}
        },
    }


def write_runtime(project: Project, course_id: str, document: Mapping[str, Any]) -> None:
    """Write the generated pillar of one course; only the owner can read it."""
    path = runtime_file(project, course_id)
    write_private(path, "#!yaml\n" + yaml.safe_dump(dict(document), sort_keys=True))


def runtime_file(project: Project, course_id: str) -> Path:
    """The path of one course's generated pillar."""
    return project.state / "pillar" / "runtime" / f"{course_id}.sls"


def host_ca_certificates() -> dict[str, str]:
    """The certificate authorities that this computer's administrator added, by name.

    A network that inspects TLS also inspects the traffic of the local cloud's machines, so they must trust the same
    authorities.
    """
    directory = Path("/usr/local/share/ca-certificates")
    return {path.stem: path.read_text(encoding="ascii") for path in sorted(directory.glob("**/*.crt"))}
