"""Material for students: repositories that are pulled into their homes, and data sets that all share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from runner.agreed import GIT_HOSTS
from runner.course.facts import Facts, none_of, text_like

#: Names in each home that have another purpose.
_TAKEN = frozenset({"data", "shared", "groups"})

_HOST = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?"
_PATH = r"[A-Za-z0-9._~+@%-]+(/[A-Za-z0-9._~+@%-]+)*/?"


def _no_page(url: str) -> str:
    """Refuse the address of a web page about a repository."""
    page = re.match(r"(?P<repository>.+?)(/-)?/(?P<kind>tree|blob|raw|src|commits?)/(?P<branch>[^/]+)", url)
    if page and url.startswith("https://"):
        raise ValueError(
            f"that is the address of a page in the repository; write url: {page['repository']} and branch: "
            f"{page['branch']}"
        )
    host_only = re.fullmatch(r"https://(github\.com|gitlab\.com|bitbucket\.org)/[^/]+/?", url)
    if host_only:
        raise ValueError("that is somebody's page and no repository; add the repository's name behind it")
    return url


#: An address for git. It must not contain a name or password, because everybody with the repository reads this file.
GitAddress = Annotated[
    str,
    *text_like(
        rf"^(https://{_HOST}(:[0-9]{{1,5}})?/{_PATH}"
        rf"|ssh://([a-z_][a-z0-9_.-]*@)?{_HOST}(:[0-9]{{1,5}})?/{_PATH}|[a-z_][a-z0-9_.-]*@{_HOST}:{_PATH}"
        r"|(file://)?/[^\x00-\x1f\x7f]{1,400})$",
        "a git address: https://github.com/physics/labs for a public repository, git@github.com:physics/labs.git for a "
        "private one (no name, password or token in it), or with cloud: local a folder such as /data/labs",
    ),
    AfterValidator(_no_page),
]
#: It becomes a directory in each home, and a part of a secret's name.
RepositoryName = Annotated[
    str,
    *text_like(r"^[a-z][a-z0-9-]{0,39}$", "a short name for the students' folder: small letters, digits and -"),
    AfterValidator(none_of(_TAKEN, "each home has a folder of that name for something else; choose another")),
]
#: Stricter than git-check-ref-format(1).
Branch = Annotated[
    str,
    *text_like(
        r"^(?!.*(\.\.|//|/\.|\.lock$|\.$|/$))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,99}$", "the name of a branch, such as main"
    ),
]
#: A file or folder within a repository.
Within = Annotated[
    str,
    *text_like(
        r"^(?!/)(?!(.*/)?\.\.?(/|$))(?=.*\S)[^\x00-\x1f\x7f]{1,200}$",
        "a file or folder of the repository, such as week-1/lab1.ipynb",
    ),
]
HostKey = Annotated[
    str,
    *text_like(
        r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) AAAA[A-Za-z0-9+/]{20,1200}={0,2}$",
        "a host's public key: ssh-ed25519 and its letters, without the host's name",
    ),
]
DataName = Annotated[
    str,
    *text_like(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", "the name of a file or folder: letters, digits, ., _ and -, no spaces"
    ),
]
DataSource = Annotated[
    str,
    *text_like(
        rf"^(https://{_HOST}(:[0-9]{{1,5}})?/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*|[A-Za-z0-9][A-Za-z0-9._-]{{0,99}})$",
        "an https:// address, or the name of a file in pillar/files/data/",
    ),
]
Sha256 = Annotated[str, *text_like(r"^[0-9a-f]{64}$", "a SHA-256: 64 small letters and digits, as sha256sum prints it")]


class Repository(Facts):
    """A git repository that students pull into their homes with a link."""

    name: Annotated[RepositoryName, Field(examples=["labs"])]
    """The name of its folder in each student's home."""
    url: Annotated[GitAddress, Field(examples=["git@git.example.edu:physics/labs.git"])]
    """The repository's address for git. An https:// address must be public; git@ and ssh:// addresses need a deploy
    key. ``./coursehub material COURSE`` makes it and says where to paste it. With ``cloud: local`` it may be a
    repository on this computer, such as ``/data/labs``: each ``apply`` takes what is committed there."""
    branch: Annotated[Branch, Field(examples=["spring"])] = "main"
    """The branch that students get. Other branches never reach the server, so one of them may contain solutions."""
    open: Annotated[Within | None, Field(examples=["week-1/lab1.ipynb"])] = None
    """The file or folder that the link opens in Lab; by default the repository's folder."""
    host_key: Annotated[
        HostKey | None,
        Field(examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJY0hfTg0wlA3oxSvWLBd6aNTPOTYJVzfmj9Zsi0Yl5T"]),
    ] = None
    """The host's SSH key, for a private repository on another host than github.com, gitlab.com and bitbucket.org, whose
    keys are built in. Compare it with the key that the host's administrators publish."""

    @model_validator(mode="after")
    def _host_is_known(self) -> Repository:
        if not self.private:
            if self.host_key is not None:
                raise ValueError("host_key is for addresses of git@ or ssh://; take it out")
        elif self.host_key is None and self.host not in GIT_HOSTS:
            port = f"-p {self.port} " if self.port else ""
            raise ValueError(
                f"we do not know the SSH key of {self.host}; add host_key: what 'ssh-keyscan -t ed25519 {port}"
                f"{self.host}' prints, without the name in front, once its administrators confirmed it"
            )
        return self

    @property
    def private(self) -> bool:
        """Whether it is fetched over SSH, with a deploy key."""
        return self.folder is None and not self.url.startswith("https://")

    @property
    def folder(self) -> Path | None:
        """The directory, if the repository is on this computer."""
        path = self.url.removeprefix("file://")
        return Path(path) if path.startswith("/") else None

    @property
    def host(self) -> str:
        """The git host's name."""
        scp = re.match(r"[^/:]+@([^/:]+):", self.url)
        return scp[1] if scp else str(urlsplit(self.url).hostname)

    @property
    def port(self) -> int | None:
        """The git host's port, if the address has one."""
        return urlsplit(self.url).port if "://" in self.url else None


class DataSet(Facts):
    """Data that is stored once for the whole class; nobody can change it."""

    name: Annotated[DataName, Field(examples=["rainfall"])]
    """Its name below ``~/data``: a file, or with ``unpack`` a folder."""
    source: Annotated[DataSource, Field(examples=["https://data.example.edu/rainfall-2025.zip"])]
    """Where it comes from: an https:// address, or a small file (at most 5 MB) in ``pillar/files/data/``."""
    sha256: Annotated[
        Sha256 | None, Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    ] = None
    """For an https:// address: the output of ``sha256sum`` for the file, so that everybody computes with the same
    numbers. A new value makes the server download the new file."""
    unpack: Annotated[bool, Field(examples=[True])] = False
    """Whether it is a zip or tar archive whose content students want."""

    @model_validator(mode="after")
    def _is_pinned(self) -> DataSet:
        if self.remote and self.sha256 is None:
            raise ValueError(
                f"sha256 is missing; add what 'curl -L {self.source} | sha256sum' prints, so that nobody can change "
                "the data unseen"
            )
        if not self.remote and self.sha256 is not None:
            raise ValueError("sha256 is for an https:// source; take it out")
        return self

    @property
    def remote(self) -> bool:
        """Whether the server must download it."""
        return self.source.startswith("https://")


class Material(Facts):
    """Material for students."""

    repositories: list[Repository] = Field(
        default=[], examples=[[{"name": "labs", "url": "git@github.com:physics/labs.git"}]]
    )
    """Git repositories. ``./coursehub material COURSE`` prints a link for each, for the LMS. A student who clicks it
    gets the newest version as their own files. What a student changed stays as it is. If the course changed the same
    place, a page says so, and the course's version is put beside the student's."""
    data: list[DataSet] = Field(
        default=[],
        examples=[
            [
                {
                    "name": "rainfall",
                    "source": "https://data.example.edu/rainfall-2025.zip",
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                }
            ]
        ],
    )
    """Data sets, stored once and not for each student. Everybody can read them in ``~/data``; nobody can change
    them."""

    @model_validator(mode="after")
    def _one_name_each(self) -> Material:
        for what, names in (("repositories", self._names(self.repositories)), ("data", self._names(self.data))):
            twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
            if twice:
                raise ValueError(f"{what} has the name {twice} twice; give each their own")
        return self

    @staticmethod
    def _names(entries: Iterable[Repository | DataSet]) -> list[str]:
        return [entry.name for entry in entries]
