"""Initial passwords: made once, kept outside git, readable by the owner alone, never printed to a log."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from passlib.hash import sha512_crypt

from runner.project import Project, write_private

#: No 0/O, 1/l/I: passwords are read from paper. 5 bits a letter.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
#: Three groups of four letters are 60 bits: out of reach for guessing through PAM's delay.
_GROUPS, _GROUP = 3, 4
_HEADER = ("account", "password", "hash")
#: A cell that begins so is a formula to a spreadsheet (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Password:
    """A clear password, and its crypt(5) hash as /etc/shadow takes it."""

    clear: str
    hash: str

    @classmethod
    def generate(cls) -> Password:
        """A new random password."""
        clear = "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
        # Debian's own count for sha512 (login.defs); the clear text has 60 random bits, rounds add nothing.
        return cls(clear, sha512_crypt.using(rounds=5000).hash(clear))


class Passwords:
    """The course's password file, ``.coursehub/passwords/<course>.csv``: account, password, hash."""

    def __init__(self, project: Project, course_id: str) -> None:
        self.path: Path = project.state / "passwords" / f"{course_id}.csv"

    def read(self) -> dict[str, Password]:
        """All passwords by account."""
        if not self.path.is_file():
            return {}
        with self.path.open(encoding="utf-8", newline="") as handle:
            return {row["account"]: Password(row["password"], row["hash"]) for row in csv.DictReader(handle)}

    def ensure(self, accounts: Iterable[str]) -> dict[str, Password]:
        """The passwords of ``accounts``, made where there is none yet; others' are kept for when they come back."""
        kept = self.read()
        wanted = list(accounts)
        missing = [account for account in wanted if account not in kept]
        if missing:
            kept |= {account: Password.generate() for account in missing}
            self._write(kept)
        return {account: kept[account] for account in wanted}

    def reset(self, account: str) -> Password:
        """A new password for one account; the server gets it with the next apply."""
        made = Password.generate()
        self._write({**self.read(), account: made})
        return made

    def _write(self, passwords: dict[str, Password]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows((account, password.clear, password.hash) for account, password in passwords.items())
        write_private(self.path, text.getvalue())


@dataclass(frozen=True)
class Card:
    """What one person is handed."""

    name: str
    account: str
    password: str


def as_table(cards: Sequence[Card]) -> str:
    """The cards as CSV that no spreadsheet takes for formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("name", "account", "password"))
    writer.writerows([_harmless(cell) for cell in (card.name, card.account, card.password)] for card in cards)
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def as_page(cards: Sequence[Card], *, title: str, url: str) -> str:
    """The cards as one page of HTML to print and cut: nothing is fetched, no card is cut by the end of a sheet."""
    # Not above: what a verb loads at its start it pays for, and Jinja is a tenth of a second that a page alone needs.
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    return page.render(cards=cards, title=title, url=url)


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}: first passwords</title>
<style>
  body { font: 11pt/1.35 system-ui, sans-serif; margin: 0; }
  main { display: grid; grid-template-columns: 1fr 1fr; }
  article { border: 1px dashed #999; padding: 6mm; break-inside: avoid; overflow-wrap: anywhere; }
  h2 { font-size: 12pt; margin: 0 0 2mm; }
  p { margin: 1mm 0; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 1mm 3mm; margin: 2mm 0; }
  dt { color: #555; }
  dd { margin: 0; font: 12pt ui-monospace, "DejaVu Sans Mono", monospace; }
  /* Broken at one of its own hyphens an account would be read as two words. */
  dd.long { font-size: 8pt; white-space: nowrap; }
  small { color: #555; }
  @page { margin: 12mm; }
  @media screen and (max-width: 40em) { main { grid-template-columns: 1fr; } }
</style>
</head>
<body>
<main>
{% for card in cards %}
<article>
<h2>{{ card.name }}</h2>
<p>{{ title }}</p>
<dl>
<dt>Open</dt><dd>{{ url }}</dd>
<dt>User name</dt><dd{{ ' class=long' if card.account | length > 20 }}>{{ card.account }}</dd>
<dt>Password</dt><dd>{{ card.password }}</dd>
</dl>
<small>Choose a password of your own: sign in, open a Terminal, type <b>passwd</b>.</small>
</article>
{% endfor %}
</main>
</body>
</html>
"""
