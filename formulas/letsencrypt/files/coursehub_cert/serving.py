"""Make the web server serve the certificate that is on disk."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from coursehub_cert import places
from coursehub_cert.config import Config


def point_live(config: Config) -> bool:
    """Point the web server's link at certbot's directory by one rename; return whether it pointed elsewhere."""
    live = Path(config.live)
    if live.is_symlink() and str(live.readlink()) == str(config.lineage):
        return False
    live.parent.mkdir(parents=True, exist_ok=True)
    if live.is_dir() and not live.is_symlink():
        live.rename(live.with_name(f"{live.name}.before-{int(time.time())}"))
    temporary = live.with_name(live.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(config.lineage)
    temporary.replace(live)
    return True


def reload_server(config: Config) -> str:
    """Make the web server read the certificate; return an empty string, or why it did not."""
    if not config.reload:
        return ""
    try:
        done = subprocess.run(list(config.reload), check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"'{' '.join(config.reload)}' failed: {error}"
    return "" if done.returncode == 0 else f"'{' '.join(config.reload)}' failed: {done.stderr.strip()[-200:]}"


def reload_due(config: Config) -> bool:
    """Return whether the certificate is newer than the last reload: a run was killed, or the reload failed."""
    try:
        return (places.STATE / "reloaded").stat().st_mtime < (config.lineage / "fullchain.pem").stat().st_mtime
    except FileNotFoundError:
        return (config.lineage / "fullchain.pem").exists()


def serve(config: Config, changed: bool) -> tuple[bool, list[str]]:
    """Serve what is on disk; return whether anything changed, and what went wrong."""
    if not (config.lineage / "fullchain.pem").exists():
        return False, []
    changed = point_live(config) or changed or reload_due(config)
    if not changed:
        return False, []
    trouble = reload_server(config)
    if trouble:
        return True, [trouble]
    places.STATE.mkdir(parents=True, exist_ok=True)
    (places.STATE / "reloaded").touch()
    return True, []
