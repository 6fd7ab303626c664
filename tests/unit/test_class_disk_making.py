"""The class's disk: how its file is made, mounted once and enlarged. Only systemd is a stand-in."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.class_disks import MIB, Config, btrfs, config_in, need_btrfs
from tests.support.programs import Programs

need_btrfs()
from class_disk import main, making, programs  # noqa: E402

pytestmark = pytest.mark.unit


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config_in(tmp_path).top.mkdir()
    return config_in(tmp_path, reserve_percent=0)


@pytest.fixture
def systemctl(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    """A systemctl whose mount unit of the disk mounts the file, on a server with room for 128 MiB."""
    made = Programs.install(tmp_path / "programs", monkeypatch)
    unit = making.unit(config.disk)
    made.add(
        "systemctl",
        f'if [ "$*" = "start {unit}" ] && ! mountpoint -q {config.disk}; then\n'
        f"    exec mount -o loop {config.image} {config.disk}\nfi",
    )
    monkeypatch.setitem(programs.ENVIRONMENT, "PATH", f"{made.directory}:{programs.ENVIRONMENT['PATH']}")
    monkeypatch.setattr(making, "LEAST", 100 * MIB)
    monkeypatch.setattr(making, "BESIDE", 0)
    room(monkeypatch, 128 * MIB)
    yield made
    if config.top.is_mount():
        subprocess.run(["umount", config.disk], check=True)


def room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(making.shutil, "disk_usage", lambda _: SimpleNamespace(total=free, free=free))


def test_disk_is_made_once(config: Config, systemctl: Programs) -> None:
    assert making.make(config) == "made"
    assert config.top.is_mount()
    image = Path(config.image)
    assert (image.stat().st_size, stat.S_IMODE(image.stat().st_mode)) == (128 * MIB, 0o600)
    # All of it is there already: what fills the server's disk later cannot hit this one.
    assert image.stat().st_blocks * 512 >= 128 * MIB
    assert [path.name for path in image.parent.iterdir()] == ["disk.img"]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (config.top, config.homes, config.shared)}
    assert list(modes.values()) == [0o700, 0o755, 0o755]
    assert stat.S_IMODE(config.history.stat().st_mode) == 0o700
    assert "0/5" in btrfs("qgroup", "show", config.disk)
    inode = image.stat().st_ino
    (config.homes / "file").touch()
    assert making.make(config) == "mounted"
    assert (image.stat().st_ino, (config.homes / "file").exists()) == (inode, True)
    units = [making.unit(path) for path in (config.disk, config.home_root, config.class_root)]
    assert ["enable", "--quiet", *units] in systemctl.calls("systemctl")
    # The other two are parts of the disk.
    assert [call[1:] for call in systemctl.calls("systemctl") if call[0] == "start"] == [units[:1], units[1:]] * 2


def test_disk_grows_with_the_servers(config: Config, systemctl: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    del systemctl
    monkeypatch.setattr(making, "GIB", 64 * MIB)
    making.make(config)
    (config.homes / "file").write_text("kept")
    room(monkeypatch, 150 * MIB)
    assert making.grow(config) == 0
    room(monkeypatch, 256 * MIB)
    assert making.grow(config) == 128 * MIB
    assert (config.homes / "file").read_text() == "kept"
    monkeypatch.undo()
    assert making.shutil.disk_usage(config.disk).total == 256 * MIB


def test_machine_that_cannot_mount_files_has_no_disk(
    config: Config, systemctl: Programs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container. The next apply does not try it again, and says why there is none."""
    systemctl.add("mount", "exit 32")
    monkeypatch.setattr(main, "REPORTS", config.top / "run")
    monkeypatch.setattr(main.Config, "read", classmethod(lambda _: config))
    assert main.main(["make"]) == main.NO_DISK
    reason = "this machine cannot mount a file as a disk (no loop devices)\n"
    assert capsys.readouterr().out == reason
    assert [path.name for path in Path(config.image).parent.iterdir()] == ["none"]
    assert making.refusal(config).read_text() == reason


def test_disk_is_not_made_over_shared_files(config: Config) -> None:
    shared = Path(config.class_root)
    shared.mkdir()
    (shared / "lecture.pdf").touch()
    with pytest.raises(making.NoDiskError, match="has files already"):
        making.make(config)


def test_error_of_a_program_is_its_last_line(systemctl: Programs) -> None:
    systemctl.add("systemctl", "echo 'first' >&2; echo 'Unit not found.' >&2; exit 5")
    with pytest.raises(OSError, match="Unit not found"):
        programs.run("systemctl", "start", "x")
    systemctl.add("systemctl", "exit 5")
    with pytest.raises(OSError, match="exit code 5"):
        programs.run("systemctl", "start", "x")
