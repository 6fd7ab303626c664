"""Merge the student's and the course's files in git's store, file by file; no file of the student is touched.

A file that both sides changed in one place stays exactly as the student has it, byte for byte, and the course's new
version is put beside it. A merged notebook that is not valid counts as such a file.
"""

import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from class_pull.files import CHECKPOINTS, Files
from class_pull.git import Git
from class_pull.notes import Note

#: A file's mode and object in git.
Entry = tuple[str, str]
Tree = dict[str, Entry]
_FILES = ("100644", "100755")


@dataclass
class Merged:
    """The new files; the course's objects to put ``beside`` the student's; what to report when it is done."""

    tree: Tree
    beside: dict[str, str] = field(default_factory=dict)
    planned: list[Note] = field(default_factory=list)


def tree_of(git: Git, commit: str) -> Tree:
    """Return the files of a version."""
    entries = git.run("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")
    tree = {}
    for facts, _, name in (entry.partition(b"\t") for entry in entries if entry):
        mode, _, thing = facts.decode().split()
        tree[os.fsdecode(name)] = (mode, thing)
    return tree


def stored(git: Git, tree: Tree) -> str:
    """Put ``tree`` into git's store; return its name there."""
    index = str(git.room / "scratch-index")
    Path(index).unlink(missing_ok=True)
    lines = (f"{mode} {thing}\t".encode() + os.fsencode(name) for name, (mode, thing) in tree.items())
    git.run("update-index", "-z", "--index-info", index=index, given=b"".join(line + b"\0" for line in lines))
    return git.line("write-tree", index=index)


def new_commit(git: Git, tree: str, *parents: str) -> str:
    """Make a version with both sides' work; return its name."""
    before = [word for parent in parents for word in ("-p", parent)]
    return git.line("commit-tree", tree, *before, "-m", "The course's newest version")


def merge(git: Git, files: Files, base: Tree, mine: Tree, theirs: Tree) -> Merged:
    """Merge the student's tree and the course's, which both come from ``base``.

    What the student deleted comes back. A renamed file is a deleted and a new one: nothing that the student wrote
    moves.
    """
    done = Merged(dict(theirs))
    for name, entry in sorted(mine.items()):
        old, new = base.get(name), theirs.get(name)
        if entry in (old, new):
            continue
        if new is None:
            place = _room(files, name, theirs, done.planned)
            done.tree[place] = entry
            if old is not None and place == name:
                done.planned.append({"kind": "removed", "path": name})
        elif new == old:
            done.tree[name] = entry
        else:
            both = _both(git, name, old, entry, new)
            done.tree[name] = both or entry
            if both is None and new[0] in _FILES and CHECKPOINTS not in name.split("/"):
                done.beside[name] = new[1]
    return done


def _both(git: Git, name: str, old: Entry | None, mine: Entry, theirs: Entry) -> Entry | None:
    """Return both sides' changes in one file; None if they conflict, or give no valid notebook."""
    if old is None or not {old[0], mine[0], theirs[0]} <= set(_FILES):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        sides = [Path(scratch, which) for which in ("mine", "old", "theirs")]
        for side, (_, thing) in zip(sides, (mine, old, theirs), strict=True):
            side.write_bytes(git.run("cat-file", "blob", thing))
        done: subprocess.CompletedProcess[bytes] = git.attempt("merge-file", "-p", "--quiet", *map(str, sides))
    if done.returncode or (name.endswith(".ipynb") and not _is_notebook(done.stdout)):
        return None
    thing = git.run("hash-object", "-w", "--no-filters", "--stdin", given=done.stdout).decode().strip()
    return (mine[0] if mine[0] != old[0] else theirs[0], thing)


def _room(files: Files, name: str, theirs: Tree, planned: list[Note]) -> str:
    """Return ``name``, or another name if the course now has a directory there, or a file instead of a parent."""
    above = ["/".join(name.split("/")[:count]) for count in range(1, name.count("/") + 1)]
    if not any(one in theirs for one in above) and not any(one.startswith(f"{name}/") for one in theirs):
        return name
    blocked = next((one for one in above if one in theirs), name)
    new = files.inside(files.free(blocked, "mine")) + name.removeprefix(blocked)
    planned.append({"kind": "moved", "path": name, "beside": new})
    return new


def _is_notebook(content: bytes) -> bool:
    import nbformat

    try:
        nbformat.validate(nbformat.reads(content.decode(), as_version=nbformat.NO_CONVERT))
    except Exception:
        # Any error of that library means the same: Lab would not open it.
        return False
    return True
