"""Rendered templates are valid for the programs that read them, if those programs are available."""

from __future__ import annotations

import ast
import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.render.rendering import File, Rendering

pytestmark = pytest.mark.render
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def tool(name: str) -> str:
    """The path of a program, or the test is skipped."""
    found = shutil.which(name, path=PATH)
    if not found:
        pytest.skip(f"{name} is not installed here")
    return found


def check(argv: list[str], what: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{what}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def files(renderings: dict[str, Rendering]) -> list[tuple[str, File]]:
    """Each different content of each path once, with the rendering that it comes from."""
    seen: dict[tuple[str, str], tuple[str, File]] = {}
    for name, rendering in renderings.items():
        for file in rendering.files():
            seen.setdefault((file.path, file.text), (name, file))
    return list(seen.values())


def among(files: list[tuple[str, File]], wanted: Callable[[File], bool]) -> Iterator[tuple[str, File]]:
    found = [pair for pair in files if wanted(pair[1])]
    assert found, "no state writes such a file any more: mend or remove this test"
    yield from found


def test_python(files: list[tuple[str, File]]) -> None:
    def is_python(file: File) -> bool:
        return file.path.endswith(".py") or bool(re.match(r"#!.*python", file.text))

    for name, file in among(files, is_python):
        ast.parse(file.text, f"{name}:{file.path}", feature_version=(3, 11))


def test_json_and_yaml(files: list[tuple[str, File]]) -> None:
    for _, file in files:
        if file.path.endswith(".json"):
            json.loads(file.text)
        if file.path.endswith((".yaml", ".yml", "cloud.cfg.d/99-coursehub.cfg")):
            yaml.safe_load(file.text)


def test_shell(files: list[tuple[str, File]], tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck")
    for number, (name, file) in enumerate(among(files, lambda file: bool(re.match(r"#!/bin/(ba|da)?sh", file.text)))):
        script = tmp_path / f"{number}.sh"
        script.write_text(file.text)
        check(["sh", "-n", str(script)], f"{name}:{file.path}")
        if shellcheck:
            check([shellcheck, "-S", "warning", str(script)], f"{name}:{file.path}")


def test_systemd_units(files: list[tuple[str, File]], tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")

    def is_unit(file: File) -> bool:
        return bool(re.match(r"/etc/systemd/system/.*\.(service|timer|slice|socket|conf)$", file.path))

    for number, (name, file) in enumerate(among(files, is_unit)):
        home = tmp_path / str(number)
        path = home / file.path.removeprefix("/etc/systemd/system/")
        path.parent.mkdir(parents=True)
        path.write_text(file.text)
        unit = path
        if path.suffix == ".conf":  # a drop-in for a unit from a package
            # "service.d" applies to every service.
            unit = home / (path.parent.name.removesuffix(".d") if path.parent.stem != "service" else "any.service")
            unit.write_text("[Service]\nExecStart=/bin/true\nExecReload=/bin/true\n")
        done = subprocess.run(
            [analyze, "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True, timeout=60
        )
        # Programs and other units are on the server, not here.
        absent = re.compile(
            r"is not executable|not found|Failed to (?:create|load|add)|could not be|/usr/lib/systemd/|/lib/systemd/"
        )
        wrong = [line for line in done.stderr.splitlines() if str(home) in line and not absent.search(line)]
        assert wrong == [], f"{name}:{file.path}"


def test_firewall(files: list[tuple[str, File]], tmp_path: Path) -> None:
    nft = tool("nft")
    own_network = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if own_network and subprocess.run([*own_network, "true"], check=False, capture_output=True).returncode:
        pytest.skip("nft needs root or user namespaces, to look without touching")
    for name, file in among(files, lambda file: file.path.startswith("/etc/coursehub/firewall/")):
        rules = tmp_path / "rules"
        rules.write_text(file.text)
        check([*own_network, nft, "-c", "-f", str(rules)], f"{name}:{file.path}")


def test_sudoers(files: list[tuple[str, File]], tmp_path: Path) -> None:
    visudo = tool("visudo")
    for name, file in among(files, lambda file: file.path.startswith("/etc/sudoers.d/")):
        rules = tmp_path / "rules"
        rules.write_text(file.text)
        check([visudo, "-c", "-f", str(rules)], f"{name}:{file.path}")


@pytest.fixture
def privilege_separation() -> Iterator[None]:
    """As root, sshd checks nothing without the directory that its package makes; removed afterwards if we made it."""
    directory = Path("/run/sshd")
    ours = os.geteuid() == 0 and not directory.exists()
    if ours:
        directory.mkdir(mode=0o755)
    yield
    if ours:
        directory.rmdir()


@pytest.mark.usefixtures("privilege_separation")
def test_sshd(files: list[tuple[str, File]], tmp_path: Path) -> None:
    sshd = tool("sshd")
    if os.geteuid() == 0 and "sshd" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("as root sshd wants its package's user; each machine runs the same test as its check_cmd")
    key = tmp_path / "key"
    check(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], "a host key")
    known = subprocess.run(["ssh", "-Q", "kex"], check=False, capture_output=True, text=True).stdout.split()
    for name, file in among(files, lambda file: file.path.startswith("/etc/ssh/sshd_config.d/")):
        kex = re.search(r"^KexAlgorithms (.*)$", file.text, re.MULTILINE)
        if kex and not set(kex[1].split(",")) <= set(known):
            continue  # of a release with a newer OpenSSH than this machine's
        config = tmp_path / "config"
        config.write_text(re.sub(r"^HostKey .*$", f"HostKey {key}", file.text, flags=re.MULTILINE))
        check([sshd, "-t", "-f", str(config)], f"{name}:{file.path}")


def version(program: str, argument: str, pattern: str) -> tuple[int, ...]:
    done = subprocess.run([program, argument], check=False, capture_output=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def test_nginx(files: list[tuple[str, File]], tmp_path: Path) -> None:
    nginx = tool("nginx")
    newest = version(nginx, "-v", r"nginx/([\d.]+)") >= (1, 25, 1)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    check(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=x", "-keyout", str(key), "-out", str(certificate)], "a certificate",
    )  # fmt: skip
    types = tmp_path / "mime.types"
    types.write_text("types { text/html html; }")
    secret = tmp_path / "owner-pass.secret"
    secret.write_text(f'default "{"0" * 64}";\n')
    seen = 0
    for name, file in among(files, lambda file: file.path == "/etc/nginx/nginx.conf"):
        if ("http2 on;" in file.text or "MLKEM" in file.text) and not newest:
            continue  # of a release with a newer nginx than this machine's
        text = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {key};", file.text)
        text = re.sub(r"ssl_certificate /.*;", f"ssl_certificate {certificate};", text)
        # Without root: no low ports, log directory or system pid file.
        text = re.sub(r"(listen (?:\[::\]:)?)(80|443)", lambda match: match[1] + str(18000 + int(match[2])), text)
        text = text.replace("/etc/nginx/mime.types", str(types))
        text = text.replace("/etc/nginx/owner-pass.secret", str(secret))
        text = re.sub(r"(error_log|access_log|pid) /\S+/", rf"\1 {tmp_path}/", text).replace("user www-data;", "")
        config = tmp_path / "nginx.conf"
        places = "".join(
            f"{name}_temp_path {tmp_path}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(text.replace("http {", f"http {{\n{places}", 1))
        check([nginx, "-t", "-q", "-c", str(config), "-g", "daemon off;"], f"{name}:{file.path}")
        seen += 1
    assert seen


def test_no_students_script_becomes_the_worker_of_the_whole_site(files: list[tuple[str, File]]) -> None:
    """Students choose their servers' headers; a block with its own proxy_hide_header inherits none in nginx."""
    for name, file in among(files, lambda file: file.path == "/etc/nginx/nginx.conf"):
        sites = [part for part in file.text.split("server {") if "proxy_pass " in part]
        for site in sites:
            locations = re.findall(r"location [^{]*\{([^{}]*)\}", site)
            of_all = re.sub(r"location [^{]*\{[^{}]*\}", "", site)
            assert "proxy_hide_header Service-Worker-Allowed;" in of_all, name
            # A proxy_hide_header of its own would cancel everything that a location inherits.
            assert not [block for block in locations if re.search("proxy_(hide|set)_header", block)], name


def test_what_reads_in_homes_has_no_network(files: list[tuple[str, File]]) -> None:
    """Its readers are students' processes without the restrictions of students' servers."""
    for name, file in among(files, lambda file: file.path == "/etc/systemd/system/jupyterhub-work.service"):
        assert "RestrictAddressFamilies=AF_UNIX" in file.text.splitlines(), name


def test_no_unit_of_the_hub_names_a_port(files: list[tuple[str, File]]) -> None:
    units = re.compile(r"/etc/systemd/system/jupyterhub[^/]*\.service")
    for name, file in among(files, lambda file: bool(units.fullmatch(file.path))):
        assert not re.search(r"--(api-)?port|127\.0\.0\.1|localhost:", file.text), f"{name}:{file.path}"


def test_units_that_nobody_waits_for_yield_to_the_class(renderings: dict[str, Rendering]) -> None:
    """Weights count only among siblings, so what runs beside a class must be in a slice that weighs much less."""
    directory, backups = "/etc/systemd/system/", {"coursehub-backup.service", "coursehub-restic.service"}
    seen = set()
    for name, rendering in renderings.items():
        units = {
            file.path.removeprefix(directory): file.text
            for file in rendering.files()
            if file.path.startswith(directory)
        }
        if "class.slice" not in units:
            continue
        background, of_class = (_weight(units[unit]) for unit in ("background.slice", "class.slice"))
        assert background * 10 <= of_class, name
        for unit in backups & units.keys():
            assert "Slice=background.slice" in units[unit].splitlines(), f"{name}: {unit}"
            seen.add(unit)
    assert seen == backups


def _weight(unit: str) -> int:
    found = re.search(r"^CPUWeight=(\d+)$", unit, re.MULTILINE)
    assert found, unit
    return int(found[1])
