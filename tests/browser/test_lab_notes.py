"""What JupyterLab itself says and refuses in a course: new packages, too big uploads, buttons that run commands."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support import expected_conditions as seen

from runner.hub.client import HubClient, HubFailure
from tests.support.browser import shoot, sign_in, until
from tests.support.hub import Hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

STUDENT = "imoreau"
SETTINGS = "/etc/jupyter/class_uploads.json"
MB = 1 << 20


@pytest.fixture(scope="module")
def student(hub: Hub) -> Iterator[HubClient]:
    with hub.sandbox.client(hub.document, STUDENT) as client:
        client.start_server()
        yield client
        client.stop_server()


def test_buttons_in_a_notebook_run_no_commands(student: HubClient) -> None:
    """CVE-2026-42557."""
    found = student.api("GET", "/lab/api/settings/@jupyterlab/apputils-extension:sanitizer").json()
    assert found["schema"]["properties"]["allowCommandLinker"]["default"] is False


@pytest.mark.usefixtures("student")
def test_excel_file_says_how_to_read_it(hub: Hub, driver: WebDriver) -> None:
    hub.run(f"printf PK > '/home/{STUDENT}/marks 1.xlsx'")
    sign_in(driver, hub, STUDENT, f"{hub.document['url']}user/{STUDENT}/lab/tree/marks 1.xlsx")
    body = (By.TAG_NAME, "body")
    until(
        driver, seen.text_to_be_present_in_element(body, "Lab does not show Excel files."), "nothing about Excel", 120
    )
    assert 'pd.read_excel("marks 1.xlsx")' in driver.find_element(*body).text
    shoot(driver, "excel")
    hub.run(f"rm '/home/{STUDENT}/marks 1.xlsx'")


@pytest.fixture
def two_megabytes(hub: Hub) -> Iterator[None]:
    """The course with an upload limit of 2 MB."""
    hub.run(f"""cp -p {SETTINGS} {SETTINGS}.kept; echo '{{"limit": "2M"}}' > {SETTINGS}""")
    yield
    hub.run(f"mv {SETTINGS}.kept {SETTINGS}")


@pytest.mark.usefixtures("two_megabytes")
def test_upload_over_the_limit_is_refused(hub: Hub, student: HubClient) -> None:
    """Lab sends pieces of 1 MB, so nginx sees no big request."""
    piece = base64.b64encode(bytes(MB)).decode()

    def upload(name: str, pieces: int) -> None:
        for number in (*range(1, pieces), -1):
            model = {"type": "file", "format": "base64", "content": piece, "chunk": number, "name": name, "path": name}
            student.api("PUT", f"/api/contents/{name}", json=model)

    upload("fits.bin", 2)
    with pytest.raises(HubFailure, match="HTTP 413"):
        upload("big.bin", 4)
    there = hub.run(f"cd /home/{STUDENT} && stat -c '%n %s' *.bin; rm -f *.bin").split()
    assert there == ["fits.bin", str(2 * MB)]


@pytest.fixture
def newer(hub: Hub, student: HubClient) -> Iterator[None]:
    """A newer environment of the course than that of the student's running server; removed afterwards."""
    assert student.api("GET", "/class/packages").json() == {"newer": False}
    now = hub.run("readlink /opt/course/env").strip()
    hub.run(f"mkdir -p {now}-newer && ln -sfn {now}-newer /opt/course/env")
    yield
    hub.run(f"ln -sfn {now} /opt/course/env; rm -rf {now}-newer")


@pytest.mark.usefixtures("newer")
def test_new_packages_are_told_in_lab(hub: Hub, driver: WebDriver) -> None:
    sign_in(driver, hub, STUDENT)
    said = (By.CSS_SELECTOR, ".Toastify__toast")
    told = "The course has new packages. Restart your server to get them."
    until(driver, seen.text_to_be_present_in_element(said, told), "no note about new packages", 120)
    shoot(driver, "new-packages")
