"""kill -9 of restic, hub and SSH server, and a power cut, in the middle of backup, restore, highstate and upgrade.

After each death the class can work and nothing is lost; the same verb, run again, finishes. At the end all of the
repository can be read. A death of the machine loses what processes had in memory, but not what its kernel had not
written yet, because the host's kernel survives.
"""

from __future__ import annotations

import os
import random
import subprocess
import time

import pytest

from tests.support.deaths import COURSE, VERB_ENDS, VERBS, Dying

pytestmark = [pytest.mark.machine, pytest.mark.long, pytest.mark.timeout(7200)]

#: All of it takes hours: CONTRIBUTING.md.
KILLS = int(os.environ.get("COURSEHUB_KILLS", "10"))
SEEDS = (int(os.environ["COURSEHUB_SEED"]),) if "COURSEHUB_SEED" in os.environ else (1, 2, 3)
CASES = [(name, fault) for name, verb in VERBS.items() for fault in verb.faults]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "fault"), CASES)
def test_nothing_is_lost_by_deaths_in_a_verb(dying: Dying, name: str, fault: str, seed: int) -> None:
    verb, chance = VERBS[name], random.Random(f"{name} {fault} {seed}")
    sandbox = dying.hub.sandbox
    dying.back_up()
    words = dying.words(verb)
    verb.prepare(dying)
    began = time.monotonic()
    sandbox.json(*words)
    longest = time.monotonic() - began
    print(f"\n{name}, {fault}, seed {seed}: undisturbed {longest:.1f} s")
    dying.need_all_work("undisturbed")
    hits = 0
    for number in range(1, KILLS + 1):
        at = f"{name}, {fault}, seed {seed}, death {number}"
        verb.prepare(dying)
        running = sandbox.popen(*words)
        after = chance.uniform(0.1, longest)
        time.sleep(after)
        hit = dying.strike(fault, running)
        hits += hit
        stdout, stderr = running.communicate(timeout=VERB_ENDS)
        last = (stderr.strip().splitlines() or [""])[-1]
        print(f"{number}: {'killed' if hit else 'was over'} after {after:.1f} s: exit {running.returncode}: {last}")
        assert "Traceback" not in stdout + stderr, f"{at}: {stderr}"
        dying.need_class_can_work()
        verb.holds(dying, at)
        again = sandbox.run(*words, "--json")
        assert again.returncode == 0, f"{at}: {told(again)}"
        dying.need_all_work(at)
        dying.need_class_can_work()
    # A single moment may come too late.
    assert hits * 2 >= KILLS or KILLS < 3, f"only {hits} of {KILLS} were in time"
    looked = sandbox.json("check", COURSE)
    assert looked["ok"], looked
    dying.need_sound_backup()


def told(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
