"""Salt's JSON in the formats that salt-ssh 3008 really prints."""

import json

import pytest

from runner.errors import CoursehubError
from runner.saltssh import results

pytestmark = pytest.mark.unit


def state(order: int, **over: object) -> dict[str, object]:
    return {
        "__id__": f"id{order}",
        "__sls__": "nginx.config",
        "__run_num__": order,
        "name": f"/etc/{order}",
        "result": True,
        "changes": {},
        "comment": "fine",
        "duration": 12.5,
        **over,
    }


def document(*states: dict[str, object]) -> str:
    return json.dumps({"phys": {f"file_|-{s['__id__']}_|-{s['name']}_|-managed": s for s in states}})


def test_nothing_changed_is_a_verdict() -> None:
    report = results.parse("phys", document(state(1), state(0)), "")
    assert [s.order for s in report.states] == [0, 1]
    assert report.changed == report.failed == ()
    assert report.states[0].state == "file.managed"
    assert report.states[0].seconds == pytest.approx(0.0125)


def test_changes_and_would_change_both_count() -> None:
    report = results.parse("phys", document(state(0, changes={"diff": "-a\n+b"}), state(1, result=None), state(2)), "")
    assert [s.name for s in report.changed] == ["id0", "id1"]


def test_a_state_that_waits_for_a_failed_one_is_not_the_cause() -> None:
    report = results.parse(
        "phys",
        document(
            state(0, result=False, comment="no such package"),
            state(1, result=False, comment="One or more requisite failed: nginx.config.id0"),
        ),
        "",
    )
    assert [s.name for s in report.failed] == ["id0"]
    assert report.failed_count == 2


def test_warnings_are_heard() -> None:
    report = results.parse("phys", document(state(0, warnings=["no certificate yet"])), "")
    assert report.warnings == ("no certificate yet",)


@pytest.mark.parametrize(
    ("stdout", "stderr", "says"),
    [
        ("", "No matching targets found in roster.", "No matching targets"),
        ("{}", "", "no answer"),
        (json.dumps({"other": {}}), "", "no answer"),
        (
            json.dumps({"phys": ["Rendering SLS 'base:hub' failed: Jinja variable 'x' is undefined; line 3"]}),
            "",
            "do not render: Rendering SLS",
        ),
        (
            json.dumps(
                {
                    "phys": {
                        "stdout": "",
                        "stderr": "ssh: connect to host 1.2.3.4 port 22: Connection refused",
                        "retcode": 255,
                        "_error": "The command resulted in a non-zero exit code",
                    }
                }
            ),
            "",
            "Connection refused",
        ),
        (json.dumps({"phys": "Pillar failed to render with the following messages"}), "", "Pillar failed"),
        ('{"phys": {"file_|-a', "", "ended in the middle"),
    ],
)
def test_what_is_no_report_is_an_error_in_one_line(stdout: str, stderr: str, says: str) -> None:
    with pytest.raises(CoursehubError) as caught:
        results.parse("phys", stdout, stderr)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_noise_before_the_document_is_passed_over() -> None:
    assert results.parse("phys", "[WARNING ] deprecated\n" + document(state(0)), "").states
