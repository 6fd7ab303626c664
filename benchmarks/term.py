"""Makes homes as a term leaves them. Runs here, and on a server with its own Python; it imports nothing of coursehub.

    python3 -I term.py fill MEGABYTES ACCOUNT...    # on a server, as root
    python3 -I term.py hour SEED ACCOUNT...

A home of 50 MB has about 50 notebooks with about six plots each, two data tables, three photos, some scripts, and
3 MB of the teacher's handouts, which are the same in every home. Text compresses as text does. Plots and photos do not,
like a real PNG or JPEG: they are valid PNG files of noise. The same person and seed give the same bytes.
"""

import base64
import json
import os
import pwd
import random
import struct
import sys
import zlib
from pathlib import Path

#: Bytes: the handouts that everybody has, a data table, a photo, and the smallest and the largest plot.
HANDOUTS, TABLE, PHOTO, PLOT = 3_000_000, 2_000_000, 1_500_000, (12_000, 180_000)
TABLES, PHOTOS, SCRIPTS = 2, 3, 12
_TEXT = """the ball falls with a constant acceleration if there is no drag so we fit a line to speed and time then
compare slope error residual sample plot axis label units metre second force mass energy matrix vector loop function"""
WORDS = _TEXT.split()


def png(chance: random.Random, size: int) -> bytes:
    """A valid grey PNG of about ``size`` bytes that does not compress."""
    width = 400
    height = max(size // (width + 1), 1)
    rows = b"".join(b"\0" + chance.randbytes(width) for _ in range(height))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def prose(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def code(chance: random.Random) -> str:
    lines = ["import numpy as np", "import matplotlib.pyplot as plt"]
    for _ in range(chance.randrange(5, 30)):
        name, other = chance.choices(WORDS, k=2)
        numbers = f"{chance.randrange(9)}, {chance.random():.4f}"
        lines.append(f"{name} = np.linspace({numbers}) * {other}  # {prose(chance, 4)}")
    return "\n".join(lines)


def table(chance: random.Random, size: int) -> str:
    """CSV of about ``size`` bytes."""
    rows = ["time,height,speed,force"]
    rows += [",".join(f"{chance.gauss(5, 2):.6f}" for _ in range(4)) for _ in range(size // 36)]
    return "\n".join(rows) + "\n"


def notebook(chance: random.Random, plots: int, version: int = 0) -> dict:
    """A notebook with so many plots among its cells, as Lab saves it; ``version`` is in its metadata."""
    cells = []
    for number in range(plots):
        cells.append({"cell_type": "markdown", "id": f"m{number}", "metadata": {}, "source": prose(chance, 60)})
        image = base64.b64encode(png(chance, chance.randrange(*PLOT))).decode()
        outputs = [
            {"output_type": "stream", "name": "stdout", "text": table(chance, 900)},
            {"output_type": "display_data", "metadata": {}, "data": {"image/png": image, "text/plain": "<Figure>"}},
        ]
        cells.append(
            {
                "cell_type": "code",
                "id": f"c{number}",
                "metadata": {},
                "execution_count": number + 1,
                "source": code(chance),
                "outputs": outputs,
            }
        )
    kernel = {"name": "python3", "display_name": "Python 3"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel, "version": version}, "cells": cells}


def fill(home: Path, person: str, size: int) -> int:
    """Write a term's work into a home until it has ``size`` bytes; return how many it has."""
    chance = random.Random(person)
    handouts = random.Random("handouts")
    for name in ("handouts", "labs", "data", "scripts"):
        (home / name).mkdir(exist_ok=True)
    written = 0

    def write(name: str, content: bytes) -> None:
        nonlocal written
        (home / name).write_bytes(content)
        written += len(content)

    for number in range(6):
        write(f"handouts/week{number}.pdf", handouts.randbytes(HANDOUTS // 6))
    for number in range(TABLES):
        write(f"data/run{number}.csv", table(chance, TABLE).encode())
    for number in range(PHOTOS):
        write(f"data/photo{number}.png", png(chance, PHOTO))
    for number in range(SCRIPTS):
        write(f"scripts/part{number}.py", code(chance).encode())
    number = 0
    while written < size:
        # The last one fills what is left.
        left = size - written
        plots = min(chance.randrange(2, 11), left // PLOT[1] + 1)
        write(f"labs/lab{number:02}.ipynb", json.dumps(notebook(chance, plots), indent=1).encode())
        number += 1
    return written


def work_an_hour(home: Path, person: str, seed: str) -> int:
    """What a home gets in an hour of class: two saved notebooks, one of them new, and a table; return the bytes."""
    chance = random.Random(f"{person} {seed}")
    labs = sorted((home / "labs").glob("*.ipynb"))
    changed = labs[-1] if labs else home / "labs/first.ipynb"
    files = {
        changed: json.dumps(notebook(chance, 6), indent=1),
        home / f"labs/new-{seed}.ipynb": json.dumps(notebook(chance, 5), indent=1),
        home / f"data/new-{seed}.csv": table(chance, 200_000),
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return sum(map(len, files.values()))


def main(what: str, how: str, accounts: list[str]) -> None:
    """Print how many bytes each person got."""
    os.umask(0o077)
    given = {}
    for account in accounts:
        owner = pwd.getpwnam(account)
        # Written with the person's own rights, into the person's own quota.
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(owner.pw_gid)
                os.setuid(owner.pw_uid)
                home = Path(owner.pw_dir)
                size = fill(home, account, int(how) * 10**6) if what == "fill" else work_an_hour(home, account, how)
                print(json.dumps([account, size]), flush=True)
            except BaseException as problem:
                print(problem, file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        given[account] = os.waitpid(child, 0)[1]
    if any(given.values()):
        sys.exit("some homes could not be filled")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
