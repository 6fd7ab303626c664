"""What a machine gets for a masterless highstate: the tree of kitchen-salt's ``create_sandbox``, and Salt."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from runner.errors import USAGE, CoursehubError
from tests.kitchen.wrapper.config import Instance, Provisioner, overlaid

#: Directories beside a formula with its Python (``prepare_formula`` in kitchen-salt).
EXTENSIONS = ("_modules", "_states", "_grains", "_renderers", "_returners", "_runners", "_utils")

#: Settings of Salt on a class's server. The gem's Salt does not have them and is only slower.
SETTINGS = Path(__file__).resolve().parents[3] / "salt" / "config" / "master"
SWITCHED_OFF = ("disable_states", "disable_modules")


def build(instance: Instance, root: Path, target: Path, pillars: Mapping[str, Any], aggregate: bool | None) -> None:
    """Write an instance's states, pillar and minion configuration below ``target``, laid out as on the machine.

    ``pillars`` are merged into the pillar files of the same name; ``aggregate`` overrides ``state_aggregate``. Raises
    CoursehubError (2) for a path in the file that does not exist.
    """
    provisioner = instance.provisioner
    states = target / provisioner.salt_file_root.lstrip("/")
    pillar = target / provisioner.salt_pillar_root.lstrip("/")
    etc = target / "etc" / "salt"
    states.mkdir(parents=True)
    pillar.mkdir(parents=True)
    _copy_states(provisioner, root, states)
    _write_yaml(states / "top.sls", provisioner.state_top)
    for name, content in overlaid(provisioner, pillars):
        _write_yaml(pillar / name, content)
    for name, source in provisioner.pillars_from_files.items():
        (pillar / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_there(root / source, "pillars_from_files"), pillar / name)
    _write_yaml(etc / "minion", _minion(provisioner))
    extra = dict(provisioner.salt_minion_extra_config)
    if provisioner.salt_install is not False:
        ours = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))["ssh_minion_opts"]
        extra = {**{key: ours[key] for key in SWITCHED_OFF}, **extra}
    if aggregate is not None:
        extra["state_aggregate"] = ["pkg"] if aggregate else False
    _write_yaml(etc / "minion.d" / "99-minion.conf", extra)
    if provisioner.grains:
        _write_yaml(etc / "grains", provisioner.grains)


def _minion(provisioner: Provisioner) -> dict[str, Any]:
    """kitchen-salt's ``minion.erb``."""
    root = provisioner.root_path
    return {
        "local": True,
        "file_client": "local",
        "state_top": "top.sls",
        "root_dir": root,
        "file_roots": {"base": [root + provisioner.salt_file_root]},
        "pillar_roots": {"base": [root + provisioner.salt_pillar_root]},
    }


def _copy_states(provisioner: Provisioner, root: Path, states: Path) -> None:
    ignored = provisioner.salt_copy_filter
    if provisioner.state_collection or provisioner.is_file_root:
        source = _there(root / (provisioner.state_collection or ""), "state_collection")
        _copy(source, states / (provisioner.collection_name or provisioner.formula or ""), ignored)
    elif provisioner.formula:
        _copy_formula(root, provisioner.formula, states, ignored, "formula")
    for dependency in provisioner.dependencies:
        _copy_formula(root / dependency.path, dependency.name, states, ignored, "dependencies")


def _copy_formula(path: Path, name: str, states: Path, ignored: Collection[str], key: str) -> None:
    _copy(_there(path / name, key), states / name, ignored)
    for extension in EXTENSIONS:
        if (path / extension).is_dir():
            _copy(path / extension, states / extension, ignored)


def _copy(source: Path, target: Path, ignored: Collection[str]) -> None:
    shutil.copytree(
        source, target, symlinks=True, ignore=lambda _, names: set(names) & set(ignored), dirs_exist_ok=True
    )


def _there(path: Path, key: str) -> Path:
    if not path.exists():
        raise CoursehubError(f"provisioner.{key}: {path} is not there; correct the path", exit_code=USAGE)
    return path


def _write_yaml(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True), encoding="utf-8")


class _Plain(yaml.SafeDumper):
    """No anchors: a value that occurs twice in the file is two values in pillar."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def thin(cache: Path) -> Path:
    """A directory with a Salt that runs where it is unpacked: salt-ssh's own thin, made once per ``cache``.

    It contains ``thin.tgz`` and its ``code-checksum``.
    """
    import salt.utils.thin

    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (cache / "thin.lock").open("w") as lock:
        # Several wrappers start at once, and gen_thin writes its files in place.
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = Path.cwd()
        try:
            made = Path(salt.utils.thin.gen_thin(str(cache), exclude_saltexts=True))
        finally:
            os.chdir(before)
    return made.parent


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A temporary directory for a sandbox; only we can read it, because it contains pillar."""
    return tempfile.TemporaryDirectory(prefix="kitchen-")
