"""testssl.sh's grade and sslyze's comparison with Mozilla's recommendation."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from runner.audit import debian
from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject, program

#: Mozilla's recommendation "intermediate", version 6.0, in sslyze's format.
MOZILLA = Path(__file__).with_name("mozilla-intermediate-6.0.json")
#: 370 handshakes take a minute on two idle cores.
TESTSSL_SECONDS = 900
SSLYZE_SECONDS = 300
_GRADES_LEVELS = ("LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN")
_VERDICT = re.compile(r"^ +\S+:443: (OK - Compliant|FAILED - Not compliant)\.$", re.MULTILINE)
_REASON = re.compile(r"^ +\* ([a-z_]+): (.*)$", re.MULTILINE)


def measure_testssl(subject: Subject) -> list[Measure]:
    """Run all of testssl.sh: it gives a grade only after all its tests."""
    unpacked = debian.unpacked(subject.project.root, "testssl.sh")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        # It does not start without a DNS program, although it gets the address and should not query anything.
        resolver = Path(scratch, "host")
        resolver.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        resolver.chmod(0o755)
        argv = ["bash", str(unpacked / "usr/bin/testssl"), "--quiet", "--color", "0", "--warnings", "batch"]
        argv += ["--nodns", "none", "--ip", subject.target.ip, "--jsonfile-pretty", str(report)]
        if subject.target.ca_bundle:
            argv += ["--add-ca", str(subject.target.ca_bundle)]
        install = str(unpacked / "etc/testssl")
        env = {**os.environ, "TESTSSL_INSTALL_DIR": install, "PATH": f"{os.environ['PATH']}:{scratch}"}
        _, said, errors = program([*argv, subject.hostname], seconds=TESTSSL_SECONDS, env=env)
        try:
            return parse_testssl(json.loads(report.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, IndexError):
            last = [line for line in (errors + said).splitlines() if line.strip()]
            raise ScanFailed(f"testssl.sh gave no grade: {(last or ['no output'])[-1].strip()[:200]}") from None


def parse_testssl(document: dict[str, Any]) -> list[Measure]:
    """Grade, score and all findings. Raises KeyError without a grade."""
    result = document["scanResult"][0]
    rating = {one["id"]: one["finding"] for one in result["rating"]}
    findings = tuple(
        Finding(one["id"], one["finding"])
        for part in result.values()
        if isinstance(part, list)
        for one in part
        if one.get("severity") in _GRADES_LEVELS
    )
    grade = Measure("testssl", "grade", findings, rating["overall_grade"])
    return [grade, Measure("testssl", "score", (), int(rating["final_score"]))]


def measure_sslyze(subject: Subject) -> list[Measure]:
    """Whether protocols, ciphers, curves and certificate follow Mozilla's recommendation."""
    argv = [str(subject.tools.program("sslyze")), "--custom_tls_config", str(MOZILLA)]
    if subject.target.ca_bundle:
        argv += ["--certinfo_ca_file", str(subject.target.ca_bundle)]
    _, said, errors = program([*argv, subject.hostname], seconds=SSLYZE_SECONDS)
    return [parse_sslyze(said, errors)]


def parse_sslyze(said: str, errors: str = "") -> Measure:
    """The verdict at the end of sslyze's output. Raises ScanFailed without one."""
    verdict = _VERDICT.search(said)
    if verdict is None:
        last = [line for line in (errors + said).splitlines() if line.strip()]
        raise ScanFailed(f"sslyze gave no verdict: {(last or ['no output'])[-1].strip()[:200]}")
    reasons = _REASON.findall(said[verdict.end() :])
    return Measure(
        "sslyze",
        "Mozilla intermediate 6.0",
        tuple(Finding(name, detail) for name, detail in reasons),
        "compliant" if verdict[1].startswith("OK") else "not compliant",
    )
