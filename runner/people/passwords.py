"""Initial passwords: made once, stored outside git, readable only by the owner, never written to a log."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passlib.hash import sha512_crypt

from runner.files import write_private
from runner.project import Project

#: Without 0/O and 1/l/I, because passwords are read from paper. Each letter has 5 bits.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
#: Three groups of four letters are 60 bits, too many to guess through PAM's delay.
_GROUPS, _GROUP = 3, 4
_HEADER = ("account", "password", "hash", "handed_out")
#: A spreadsheet takes a cell that starts with one of these for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Password:
    """A clear password, its crypt(5) hash for /etc/shadow, and whether it was printed for its person."""

    clear: str
    hash: str
    handed_out: bool = False

    @classmethod
    def generate(cls) -> Password:
        """A new random password."""
        clear = "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
        # Debian's default number of rounds for sha512 (login.defs). More would add nothing: the clear text has 60
        # random bits.
        return cls(clear, sha512_crypt.using(rounds=5000).hash(clear))


class Passwords:
    """The course's password file, ``.coursehub/passwords/<course>.csv``: account, password, hash."""

    def __init__(self, project: Project, course_id: str) -> None:
        self.path: Path = project.state / "passwords" / f"{course_id}.csv"

    def read(self) -> dict[str, Password]:
        """All passwords, by account."""
        if not self.path.is_file():
            return {}
        with self.path.open(encoding="utf-8", newline="") as handle:
            return {
                row["account"]: Password(row["password"], row["hash"], row.get("handed_out") == "yes")
                for row in csv.DictReader(handle)
            }

    def ensure(self, accounts: Iterable[str]) -> dict[str, Password]:
        """The passwords of ``accounts``; missing ones are made. Those of other people are kept in case they return."""
        kept = self.read()
        wanted = list(accounts)
        missing = [account for account in wanted if account not in kept]
        if missing:
            kept |= {account: Password.generate() for account in missing}
            self._write(kept)
        return {account: kept[account] for account in wanted}

    def reset(self, account: str) -> Password:
        """A new password for one account; the next apply sends it to the server."""
        made = replace(Password.generate(), handed_out=True)
        self._write({**self.read(), account: made})
        return made

    def hand_out(self, accounts: Iterable[str]) -> None:
        """Record that the passwords of ``accounts`` were printed."""
        kept = self.read()
        self._write({**kept, **{account: replace(kept[account], handed_out=True) for account in accounts}})

    def not_handed_out(self, accounts: Iterable[str]) -> list[str]:
        """Those of ``accounts`` whose password was never printed, including those that have none yet."""
        kept = self.read()
        return [account for account in accounts if account not in kept or not kept[account].handed_out]

    def _write(self, passwords: dict[str, Password]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(
            (account, password.clear, password.hash, "yes" if password.handed_out else "")
            for account, password in passwords.items()
        )
        write_private(self.path, text.getvalue())


@dataclass(frozen=True)
class Card:
    """The card for one person. ``mark`` tells people with the same name apart, such as an email address."""

    name: str
    account: str
    password: str
    mark: str = ""


def as_table(cards: Sequence[Card]) -> str:
    """The cards as CSV in which no spreadsheet sees formulas."""
    rows = ((card.name, card.account, card.password, card.mark) for card in cards)
    return as_csv([("name", "account", "password", "who"), *rows])


def as_csv(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV in which no spreadsheet sees formulas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def as_page(cards: Sequence[Card], *, title: str, url: str) -> str:
    """The cards as HTML to print and cut, ten per sheet of A4 or Letter; the page loads nothing."""
    # Imported here: Jinja takes 0.1 s to load and only this page needs it.
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    sheets = [cards[start : start + _SHEET] for start in range(0, len(cards), _SHEET)]
    return page.render(sheets=sheets, title=title, url=url, size=_points)


def _points(text: str, room: float = 164.0) -> float:
    """The font size in points, from 5 to 12, at which a text in a fixed-width font fits the room."""
    return max(5.0, min(12.0, round(room / (0.61 * len(text)), 1)))


#: Cards per sheet of paper.
_SHEET = 10

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ title }}: first passwords</title>
<style>
  * { box-sizing: border-box; }
  body { font: 10pt/1.25 system-ui, sans-serif; margin: 0; }
  section { display: grid; grid-template-columns: 1fr 1fr; grid-auto-rows: 51mm; break-after: page; }
  section:last-of-type { break-after: auto; }
  article { border: 1px dashed #999; padding: 4mm 5mm; break-inside: avoid; overflow: hidden; min-width: 0; }
  h2 { font-size: 11pt; margin: 0; max-height: 2.5em; overflow: hidden; overflow-wrap: anywhere; }
  p { margin: 0.5mm 0 0; max-height: 1.25em; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.5mm 3mm; margin: 1.5mm 0; align-items: baseline; }
  dt { color: #555; }
  /* On one line, however long: broken at a hyphen, an account or an address would be read as two words. */
  dd { margin: 0; font: 12pt ui-monospace, "DejaVu Sans Mono", monospace; white-space: nowrap; }
  small { color: #555; }
  @page { margin: 10mm; }
  @media screen and (max-width: 40em) { section { grid-template-columns: 1fr; } }
</style>
</head>
<body>
{% for cards in sheets %}
<section>
{% for card in cards %}
<article>
<h2>{{ card.name }}</h2>
<p>{{ card.mark ~ " · " if card.mark }}{{ title }}</p>
<dl>
<dt>Open</dt><dd style="font-size: {{ size(url) }}pt">{{ url }}</dd>
<dt>User name</dt><dd style="font-size: {{ size(card.account) }}pt">{{ card.account }}</dd>
<dt>Password</dt><dd>{{ card.password }}</dd>
</dl>
<small>Choose a password of your own: sign in, open a Terminal, type <b>passwd</b>.</small>
</article>
{% endfor %}
</section>
{% endfor %}
</body>
</html>
"""
