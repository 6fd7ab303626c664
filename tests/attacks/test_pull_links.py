"""Links to material that is not the course's; a signed-in browser follows each."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.attackers import Person

#: The headers of a cross-site link.
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("target", [".config/git", "..%2falice%2f.config%2fgit", "%2ftmp%2fgit", ".ssh"])
def test_pull_link_brings_a_repository_anywhere(alice: Person, target: str) -> None:
    """Tries: to let Alice click a link that puts Mallory's repository into her git settings (S3).

    Stopped by: only the course's repositories are pulled (class_pull/asked.py).
    """
    client = alice.serve()
    path = f"/user/{alice.account}/git-pull?repo=file%3A%2F%2F%2Ftmp%2Fevil&branch=main&depth=0&targetpath={target}"
    page = client.get(path, headers=LINK)
    assert page.status_code == 404
    assert "This link does not belong to your course" in page.text
    stream = client.get(path.replace("/git-pull?", "/git-pull/api?"), headers={"Sec-Fetch-Site": "same-origin"})
    assert stream.status_code in (403, 404)
    assert "FileNotFoundError" in alice.python("import os; os.lstat(os.path.expanduser('~/.config/git'))")


@pytest.mark.parametrize(
    "repo", ["ext::sh -c 'touch /tmp/ran'", "https://git.example/x", "ssh://x/y", "--upload-pack=x"]
)
def test_pull_link_names_a_program_or_another_host(alice: Person, repo: str) -> None:
    """Tries: a link whose address is a command, or a repository elsewhere.

    Stopped by: only the course's repositories are pulled (class_pull/asked.py).
    """
    path = f"/user/{alice.account}/git-pull?repo={quote(repo, safe='')}&branch=main"
    assert alice.serve().get(path, headers=LINK).status_code == 404
    assert "FileNotFoundError" in alice.python("import os; os.lstat('/tmp/ran')")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
def test_pull_is_started_without_its_page(alice: Person, site: str) -> None:
    """Tries: to start a pull, or to put a folder aside, with a picture or a script of another page.

    Stopped by: the stream requires the page's own token and Sec-Fetch-Site (class_pull/pages.py, JupyterHub's XSRF
    check).
    """
    path = f"/user/{alice.account}/git-pull/api?repo=file%3A%2F%2F%2Fsrv%2Fclass%2Fmaterial%2Fx&backup=true"
    fetched = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert alice.serve().get(path, headers=fetched).status_code == 403


@pytest.mark.parametrize("path", ["../../hub/logout", "..%2f..%2fservices%2fstudents-work%2f", "%5c%5cevil.example"])
def test_pull_leads_on_to_the_hub(alice: Person, path: str) -> None:
    """Tries: a link that, after the pull, leads to the hub's own pages, where it would count as Alice's click.

    Stopped by: nginx refuses ambiguous addresses, and a pull is followed only by one of Jupyter's pages in the same
    server (class_pull/asked.py).
    """
    arrived = alice.serve().get(f"/user/{alice.account}/git-pull/then/labs/{path}", allow_redirects=False)
    assert arrived.status_code in (302, 400, 404)
    assert arrived.headers.get("Location", f"/user/{alice.account}/lab") in (
        f"/user/{alice.account}/lab",
        f"/user/{alice.account}/git-pull/hub/logout",
    )
