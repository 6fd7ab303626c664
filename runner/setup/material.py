"""The course's material for teachers: links for the LMS, deploy keys, and what is missing."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from cryptography.exceptions import UnsupportedAlgorithm

from runner.agreed import PATHS
from runner.course import Course
from runner.course.material import DataSet, Repository
from runner.errors import USAGE, CoursehubError
from runner.secrets import Secrets
from runner.servers.access import KeyPair

#: Prefix of the secret that contains a repository's deploy key.
KEY_PREFIX = "deploy-key-"
#: The directory where formulas/material stores repositories and data.
MIRRORS = f"{PATHS['shared']}/material"
DATA = f"{PATHS['shared']}/data"
#: Where to paste a deploy key, by host, in the host's own words.
_FORMS = {
    "github.com": "the repository's Settings, Deploy keys, Add deploy key, without 'Allow write access'",
    "gitlab.com": "the project's Settings, Repository, Deploy keys, Add new key, without write permissions",
    "bitbucket.org": "the repository's Repository settings, Access keys, Add key",
}


def link(course: Course, repository: Repository) -> str:
    """The link for the LMS: it signs in, starts the student's server, pulls, and opens Lab.

    Students pull from the server's own copy, so a class needs no git host at nine o'clock.
    """
    inside = quote(f"{repository.name}/{repository.open}" if repository.open else repository.name)
    asked = {
        "repo": f"file://{MIRRORS}/{repository.name}",
        "branch": repository.branch,
        "urlpath": f"lab/tree/{inside}",
    }
    return f"https://{course.domain}/hub/user-redirect/git-pull?{urlencode(asked, quote_via=quote, safe='')}"


def data_path(data: DataSet) -> str:
    """The path of a data set for students; it does not depend on ``~/data``."""
    return f"{DATA}/{data.name}"


def key_name(repository: Repository) -> str:
    """The name of the secret with the repository's deploy key."""
    return f"{KEY_PREFIX}{repository.name}"


def new_key(course_id: str, repository: Repository) -> KeyPair:
    """A new deploy key; the host shows its comment in the list of keys."""
    return KeyPair.generate(f"coursehub-{course_id}-{repository.name}")


def public_half(private: str, course_id: str, repository: Repository) -> str:
    """The line to paste at the git host. Raises CoursehubError (2) if the secret is not a private key."""
    try:
        return KeyPair.of(private, f"coursehub-{course_id}-{repository.name}").public
    # cryptography raises TypeError for a key with a passphrase.
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CoursehubError(
            f"{course_id}: the secret {key_name(repository)} is no private SSH key without a passphrase; make a new "
            f"one with 'coursehub secrets rotate {course_id} {key_name(repository)}'",
            exit_code=USAGE,
        ) from error


def form(repository: Repository) -> str:
    """Where to paste the deploy key."""
    return f"{repository.host}: {_FORMS.get(repository.host, 'the deploy keys of that repository, read-only')}"


def need(course: Course, course_id: str, secrets: Secrets, at: str, *, by_name: bool = False) -> None:
    """Check the deploy keys before a server is changed; ``at`` is the line of the repositories.

    ``by_name`` checks only that they exist, for users who may not decrypt them, such as CI.

    Raises CoursehubError (2) for the first key that is missing or invalid, and the errors of decrypting.
    """
    private = [one for one in course.material.repositories if one.private]
    have = secrets.names() if private else []
    for repository in private:
        if key_name(repository) not in have:
            raise CoursehubError(
                f"{at}: material.repositories: {repository.name} needs a deploy key; run 'coursehub material "
                f"{course_id}', which makes it and says where to paste it",
                exit_code=USAGE,
            )
        if not by_name:
            public_half(secrets.get(key_name(repository)), course_id, repository)
