"""Wrong values for material, each with the line that the teacher reads."""

from __future__ import annotations

from typing import Any

from tests.support.wrong_backups import BELOW, HOST_KEY
from tests.support.wrong_words import LIST

FOLDER = "must be a short name for the students' folder: small letters, digits and -; correct it"
GIT = (
    "must be a git address: https://github.com/physics/labs for a public repository, git@github.com:physics/labs.git "
    "for a private one (no name, password or token in it), or with cloud: local a folder such as /data/labs; correct it"
)
BRANCH = "must be the name of a branch, such as main; correct it"
WITHIN = "must be a file or folder of the repository, such as week-1/lab1.ipynb; correct it"
DATA_NAME = "must be the name of a file or folder: letters, digits, ., _ and -, no spaces; correct it"
SOURCE = "must be an https:// address, or the name of a file in pillar/files/data/; correct it"

WRONG_MATERIAL: dict[str, list[tuple[Any, str]]] = {
    "material": [("labs", f"material ('labs'): {BELOW}")],
    "material.repositories": [("labs", f"material.repositories ('labs'): {LIST}")],
    "material.repositories[].name": [
        ("Lab 1", f"material.repositories.1.name ('Lab 1'): {FOLDER}"),
        (
            "data",
            "material.repositories.1.name ('data'): each home has a folder of that name for something else; choose "
            "another",
        ),
    ],
    "material.repositories[].url": [
        ("github.com/physics/labs", f"material.repositories.1.url ('github.com/physics/labs'): {GIT}"),
        ("http://github.com/x", f"material.repositories.1.url ('http://github.com/x'): {GIT}"),
        ("https://me:token@github.com/x", f"material.repositories.1.url ('https://me:token@github.com/x'): {GIT}"),
        (
            "git@github.com:x --upload-pack=y",
            f"material.repositories.1.url ('git@github.com:x --upload-pack=y'): {GIT}",
        ),
        ("ftp://github.com/x", f"material.repositories.1.url ('ftp://github.com/x'): {GIT}"),
    ],
    "material.repositories[].branch": [
        ("week 1", f"material.repositories.1.branch ('week 1'): {BRANCH}"),
        ("-x", f"material.repositories.1.branch ('-x'): {BRANCH}"),
        ("a..b", f"material.repositories.1.branch ('a..b'): {BRANCH}"),
    ],
    "material.repositories[].open": [
        ("/etc/passwd", f"material.repositories.1.open ('/etc/passwd'): {WITHIN}"),
        ("../other", f"material.repositories.1.open ('../other'): {WITHIN}"),
    ],
    "material.repositories[].host_key": [
        ("SHA256:abc", f"material.repositories.1.host_key ('SHA256:abc'): {HOST_KEY}"),
        (
            "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
            f"material.repositories.1.host_key ('github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI'): {HOST_KEY}",
        ),
    ],
    "material.data": [("heights.csv", f"material.data ('heights.csv'): {LIST}")],
    "material.data[].name": [
        ("rain fall.csv", f"material.data.1.name ('rain fall.csv'): {DATA_NAME}"),
        ("../x", f"material.data.1.name ('../x'): {DATA_NAME}"),
    ],
    "material.data[].source": [
        ("http://data.example.edu/x.zip", f"material.data.1.source ('http://data.example.edu/x.zip'): {SOURCE}"),
        ("a/b.csv", f"material.data.1.source ('a/b.csv'): {SOURCE}"),
    ],
    "material.data[].sha256": [
        (
            "9F86",
            "material.data.1.sha256 ('9F86'): must be a SHA-256: 64 small letters and digits, "
            "as sha256sum prints it; correct it",
        )
    ],
    "material.data[].unpack": [("zip", "material.data.1.unpack ('zip'): must be true or false; correct it")],
}
