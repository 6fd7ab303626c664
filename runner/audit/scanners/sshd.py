"""ssh-audit: the algorithms that sshd offers, and whether its hardened policy passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject, program

#: A newer release of Debian is compared with ssh-audit's newest own policy.
POLICIES = {"debian-12": str(Path(__file__).with_name("debian-12.policy"))}
NEWEST_POLICY = "Hardened Debian 13 (version 1)"
SECONDS = 120


def measure(subject: Subject) -> list[Measure]:
    """Run it twice: for weak algorithms, and for the policy."""
    # Its test of the connection rate would be an attack itself.
    argv = [str(subject.tools.program("ssh-audit")), "-n", "--skip-rate-test", "-j"]
    _, said, errors = program([*argv, subject.target.ip], seconds=SECONDS)
    policy = POLICIES.get(subject.release, NEWEST_POLICY)
    _, policy_said, policy_errors = program([*argv, "-P", policy, subject.target.ip], seconds=SECONDS)
    return [*parse(_json(said, errors)), parse_policy(_json(policy_said, policy_errors))]


def _json(said: str, errors: str) -> Any:
    try:
        return json.loads(said)
    except ValueError:
        raise ScanFailed(f"ssh-audit: {(errors or said).strip()[-200:] or 'no answer'}") from None


def parse(document: dict[str, Any]) -> list[Measure]:
    """Failures and warnings by algorithm, and known vulnerabilities of the version."""
    found: dict[str, list[Finding]] = {"fail": [], "warn": []}
    for kind in ("kex", "key", "enc", "mac"):
        for one in document.get(kind, ()):
            for level, findings in found.items():
                for note in (one.get("notes") or {}).get(level, ()):
                    findings.append(Finding(f"{kind} {one['algorithm']}", note))
    found["fail"] += [Finding(one["name"], one.get("description", "")) for one in document.get("cves", ())]
    return [
        Measure("ssh-audit", "failures", tuple(found["fail"])),
        Measure("ssh-audit", "warnings", tuple(found["warn"])),
    ]


def parse_policy(document: dict[str, Any]) -> Measure:
    """Whether the policy passed, and what failed."""
    findings = tuple(
        Finding(one["mismatched_field"], f"{' '.join(one['actual'])} instead of {' '.join(one['expected_required'])}")
        for one in document["errors"]
    )
    return Measure("ssh-audit", "hardened policy", findings, "passed" if document["passed"] else "failed")
