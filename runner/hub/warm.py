"""Checks that servers and kernels start from images; without one everything works, and starts take longer."""

from __future__ import annotations

from runner.hub.checks import Check

#: The units that make the images (formula course_env).
UNITS = ("coursehub-warm-server", "coursehub-warm-kernel")
#: Prints a line for each image that could not be made, with the reason.
LOOK = f"""
for unit in {" ".join(UNITS)}; do
  if systemctl is-failed --quiet $unit; then
    echo "warm ${{unit##*-}} $(journalctl -u $unit -o cat --no-pager -n 40 |
      sed -n 's/^coursehub: no image of the [a-z]*: //p' | tail -n 1)"
  fi
done
"""


def check(said: list[list[str]]) -> list[Check]:
    """The check for LOOK's output; ``said`` has the words of each line."""
    found = [(words[1], " ".join(words[2:])) for words in said if words[0] == "warm"]
    if not found:
        return []
    kinds = " and ".join(f"each {kind}" for kind, _ in found)
    why = next((reason for _, reason in found if reason), f"journalctl -u {UNITS[0]} on the server says why")
    todo = "everybody can work, and the server tries again every ten minutes"
    return [Check("fast starts", False, f"{kinds} starts slowly, because there is no image: {why}; {todo}")]
