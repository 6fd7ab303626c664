"""Measures ``apply`` without a change: of one course, and of several at the same time.

``python -m benchmarks.fleet COURSE...`` on running hubs that match their course files. Ten courses together may take
three times as long as one.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOAL = 3.0
ROUNDS = 3


def seconds(courses: list[str]) -> float:
    """The median of several runs. Ends the program if an apply fails."""
    spent = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        subprocess.run([ROOT / "coursehub", "apply", *courses], check=True, stdout=subprocess.DEVNULL)
        spent.append(time.monotonic() - began)
    return statistics.median(spent)


def main(courses: list[str]) -> int:
    """Measure and compare with the goal; return 1 if it is missed."""
    if len(courses) < 2:
        print("say which courses, two at least", file=sys.stderr)
        return 2
    # The first apply may ship the states that the others reuse.
    seconds(courses)
    alone, together = seconds(courses[:1]), seconds(courses)
    ratio = together / alone
    print(f"one {alone:.1f} s, {len(courses)} at once {together:.1f} s: {ratio:.1f} times (goal {GOAL:.0f} for ten)")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
