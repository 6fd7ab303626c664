"""Checks that no upgrade is half done on a server, and says if the version before serves (coursehub_upgrade)."""

from __future__ import annotations

from runner.agreed import ACCOUNTS, PATHS
from runner.hub.checks import Check

_PLACE = PATHS["upgrade"]
_AT_WORK = "coursehub-upgrade-try coursehub-upgrade-guard coursehub-upgrade-back coursehub-upgrade-mend"
#: Prints one line, or none if nothing is left of an upgrade. While one is at work, nothing is left over.
LOOK = f"""
if ! systemctl is-active --quiet {_AT_WORK}; then
  phase=$(head -n 1 {_PLACE}/phase 2>/dev/null)
  case "$phase" in
    ''|idle)
      if [ -e {_PLACE}/trial ] || getent passwd {ACCOUNTS["trial"]} >/dev/null; then echo "upgrade left"
      elif [ -e {PATHS["went_back"]} ]; then echo "upgrade before"; fi ;;
    *) echo "upgrade $phase" ;;
  esac
fi
"""
_AGAIN = "'coursehub upgrade COURSE' removes it and goes on"


def check(said: list[list[str]]) -> list[Check]:
    """The check for LOOK's output; ``said`` has the words of each line."""
    found = next((words[1] for words in said if words[0] == "upgrade" and len(words) > 1), None)
    match found:
        case None:
            return []
        case "before":
            return [Check("upgrade", True, "the version before the last upgrade serves")]
        case "left" | "trying":
            return [Check("upgrade", False, f"a trial of a new version was left behind; {_AGAIN}")]
        case _:
            return [
                Check(
                    "upgrade",
                    False,
                    "an upgrade was cut off, and the server may have half of each version; 'coursehub upgrade COURSE' "
                    "puts the version before back, and goes on",
                )
            ]
