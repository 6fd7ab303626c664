"""OpenSCAP with the rules of the French agency ANSSI (BP-028), minimal and intermediary."""

from __future__ import annotations

from xml.etree import ElementTree

from runner.audit import debian
from runner.audit.goals import Finding, Measure
from runner.audit.subject import ScanFailed, Subject

SECONDS = 900
CONTENT = "usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml"
#: The only release that has rules.
RELEASE = "debian-12"
PROFILES = {"ANSSI minimal": "anssi_bp28_minimal", "ANSSI intermediary": "anssi_bp28_intermediary"}
_RULE = "xccdf_org.ssgproject.content_rule_"
_PROFILE = "xccdf_org.ssgproject.content_profile_"

# The release's own scanner, with the libraries that it lacks, unpacked but not installed.
_FETCH = r"""
set -e
cd %(room)s && mkdir -p debs/partial root
apt-get -qq install --download-only --reinstall --no-install-recommends -y -o Dir::Cache::archives=%(room)s/debs \
    openscap-scanner openscap-common </dev/null >fetch.log 2>&1 || { tail -n 1 fetch.log >&2; exit 1; }
for deb in debs/*.deb; do dpkg-deb -x "$deb" root; done
rm -r debs
"""
_RUN = r"""
set -e
cd %(room)s
export LD_LIBRARY_PATH=$(find root -name '*.so*' -printf '%%h\n' | sort -u | sed "s|^|$PWD/|" | paste -sd:)
share=$PWD/root/usr/share/openscap
export OSCAP_SCHEMA_PATH=$share/schemas OSCAP_XSLT_PATH=$share/xsl OSCAP_CPE_PATH=$share/cpe
root/usr/bin/oscap xccdf eval --profile %(profile)s --results %(name)s.xml content.xml </dev/null >out 2>&1 || {
    # 2: some rule failed.
    [ $? = 2 ] || { tail -n 1 out >&2; exit 1; }
}
"""


def measure(subject: Subject) -> list[Measure]:
    """Both profiles; none if there are no rules for the server's release."""
    if subject.release != RELEASE:
        return []
    content = debian.unpacked(subject.project.root, "ssg-debian") / CONTENT
    found = []
    with subject.room([(content, "content.xml")]) as room:
        subject.run(_FETCH % {"room": room}, seconds=SECONDS)
        for name, profile in PROFILES.items():
            subject.run(_RUN % {"room": room, "profile": _PROFILE + profile, "name": profile}, seconds=SECONDS)
            found.append(parse(name, subject.fetch(f"{room}/{profile}.xml")))
    return found


def parse(name: str, results: bytes) -> Measure:
    """The number of passed rules, out of those that apply and can be checked. Raises ScanFailed if there are none."""
    passed = failed = 0
    findings = []
    for one in ElementTree.fromstring(results).iter("{http://checklists.nist.gov/xccdf/1.2}rule-result"):  # noqa: S314
        verdict = one.findtext("{http://checklists.nist.gov/xccdf/1.2}result", "")
        passed += verdict in ("pass", "fixed")
        if verdict in ("fail", "error", "unknown"):
            failed += 1
            rule = str(one.get("idref", "")).removeprefix(_RULE)
            findings.append(Finding(rule, verdict, lost=1, possible=1))
    if not passed + failed:
        raise ScanFailed(f"OpenSCAP checked no rule of {name}")
    return Measure("openscap", name, tuple(findings), score=(passed, passed + failed))
