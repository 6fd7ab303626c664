"""A course as typed, frozen facts.

The text below each key is its description: in editors, in docs/course-file.md, and (its first sentence) in the files
that ``coursehub new`` writes.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from runner.course.backup import Alert, Backup
from runner.course.facts import (
    Amount,
    Day,
    DebianPackage,
    Email,
    Facts,
    Hostname,
    Minutes,
    Module,
    Paragraph,
    Picture,
    Reaches,
    Requirement,
    Slug,
    Text,
    Timezone,
    between,
    without_www,
)
from runner.course.hostnames import CHALLENGE
from runner.course.material import Material
from runner.course.network import Network
from runner.course.people import People
from runner.course.signin import Signin

#: When most changes take effect.
NEW_SERVERS = "personal servers that start after apply; those that run keep what they have"
#: What a language's kernel needs from the Python index. What it needs from Debian is in formulas/course_env.
KERNELS = {"r": (), "octave": ("octave-kernel",)}
#: Other defaults for a course file with ``dns: manual``.
WITH_MANUAL_DNS = {"isolation": "paths"}


class Limits(Facts):
    """What one person's server may use."""

    memory: Annotated[
        Amount,
        AfterValidator(between("256M", "1024G", "one notebook takes about 190M, and below 256M none starts")),
        Field(examples=["1500M"]),
    ] = "1G"
    """Memory of one person. At the limit the notebook's kernel ends, which loses its variables and no file; the
    person's server and everybody else go on."""
    cpu: Annotated[float, Field(gt=0, le=64, examples=[1.5])] = 1.0
    """Processor cores of one person; 0.5 is half a core, 2.0 are two."""
    tasks: Annotated[int, Field(ge=64, le=32768, examples=[512])] = 512
    """Processes and threads of one person; stops a runaway program that starts copies of itself."""


class Page(Facts):
    """What the sign-in page says besides the course's title."""

    message: Annotated[Paragraph | None, Field(examples=["Lab 3 is due on Friday at 17:00."])] = None
    """The message of the day. It stands on top of the sign-in page and the hub's other pages from the moment of
    ``apply``; nothing restarts and nobody is disturbed. More lines than one: write ``|`` after the colon and indent
    the lines below it."""
    help: Annotated[Text | None, Field(examples=["help@example.edu"])] = None
    """Whom to ask. An email address or an https:// address becomes a link; other text, such as a room, stands as it
    is."""
    logo: Annotated[Picture | None, Field(examples=["crest.png"])] = None
    """A picture above the course's title. Its file lies in ``pillar/files/logos/`` and has at most 1 MB."""


class Term(Facts):
    """When the course is taught."""

    first: Annotated[Day, Field(examples=["2026-09-21"])]
    """The first day of the term."""
    last: Annotated[Day, Field(examples=["2026-12-11"])]
    """The last day of the term."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("the term ends before it begins: first is after last")
        return self


class Course(Facts):
    """Everything that a teacher decides about one course."""

    title: Annotated[
        Text,
        Reaches("everybody, at once; nothing restarts"),
        Field(examples=["ENGR 114: Engineering Programming with Python"]),
    ]
    """What the course is called."""
    domain: Annotated[
        Hostname,
        AfterValidator(without_www),
        Reaches("everybody: the address changes"),
        Field(examples=["engr114.example.edu"]),
    ]
    """The address that students type. A name below a domain that you own; with ``cloud: digitalocean`` and ``dns:
    cloud`` that domain's zone must be in the same account."""
    www: Annotated[bool, Reaches("whoever types www. before the address"), Field(examples=[False])] = True
    """Whether the address works with www. before it too. That sends people on to the address itself."""
    contact: Annotated[Email, Reaches("nobody of the class"), Field(examples=["professor@example.edu"])]
    """Your email address, for the account at the certificate authority. Let's Encrypt sends no mail about certificates
    that run out (since June 2025): they renew themselves, and ``status`` and ``check`` fail when one has less than 20
    days left."""
    cloud: Annotated[Literal["local", "digitalocean"], Field(examples=["digitalocean"])] = "local"
    """Where the server is made. ``local`` is this computer, for trying things out; ``digitalocean`` is a droplet, and
    needs a token in DIGITALOCEAN_ACCESS_TOKEN."""
    dns: Annotated[Literal["cloud", "manual"], Field(examples=["manual"])] = "cloud"
    """Who makes the address point to the server. ``cloud``: we do, in the cloud's own DNS; ``manual``: you or your
    college do, and the hub waits for it."""
    isolation: Annotated[
        Literal["subdomains", "paths"],
        Reaches("everybody, at the next sign-in; the hub restarts"),
        Field(examples=["subdomains"]),
    ] = "subdomains"
    """What keeps people's servers apart in a browser. ``subdomains``: each has an address of its own, such as
    ``https://curie.engr114.example.edu/``, and a page that runs in one can do nothing in another or in the hub, whoever
    looks at it, so teachers may open students' servers; ``paths``: all share the course's address, and people open
    their own server alone. With ``dns: manual`` it is ``paths`` unless you say otherwise, as ``subdomains`` then needs
    two more records from you: ``*.DOMAIN`` with the server's address, and an NS record ``_acme-challenge.DOMAIN`` with
    the value DOMAIN. A change of it signs everybody out once."""
    region: Annotated[Slug, Reaches("only a new server"), Field(examples=["nyc3"])] = "sfo3"
    """Where in the world the server stands, in the cloud's own word. Near your students is fast."""
    size: Annotated[Slug, Reaches("only a new server"), Field(examples=["s-4vcpu-8gb"])] = "s-4vcpu-8gb"
    """How big the server is, in the cloud's own word, and so what it costs. The class gets
    85 % of its memory: count 170 MB of that for each student who works with numpy, pandas and matplotlib (measured on
    30 November 2026). ``coursehub rehearse`` measures it on your server."""
    image: Annotated[
        Literal["debian-13-x64", "debian-12-x64", "ubuntu-24-04-x64"],
        Reaches("only a new server"),
        Field(examples=["debian-12-x64"]),
    ] = "debian-13-x64"
    """The operating system of a new server; of a server that is there it changes nothing."""
    timezone: Annotated[
        Timezone, Reaches("the server's clock and its logs"), Field(examples=["America/Los_Angeles"])
    ] = "Etc/UTC"
    """The clock of the course, as Continent/City."""
    term: Annotated[
        Term | None, Reaches("nobody of the class"), Field(examples=[{"first": "2026-09-21", "last": "2026-12-11"}])
    ] = None
    """The first and the last day of the course. ``plan``, ``up`` and ``status`` then say what the server costs for the
    whole term."""
    limits: Annotated[Limits, Reaches(NEW_SERVERS), Field(examples=[{"memory": "1500M", "cpu": 1.5, "tasks": 512}])] = (
        Limits()
    )
    """What one person's server may use, so that nobody takes the class down."""
    upload_limit: Annotated[
        Amount,
        AfterValidator(between("1M", "20G", "bigger files belong under material: data, where they are stored once")),
        Reaches("everybody, at once"),
        Field(examples=["250M"]),
    ] = "100M"
    """The biggest file that can be uploaded in the browser."""
    idle_after: Annotated[Minutes, Reaches("everybody, at once; running servers go on"), Field(examples=[180])] = 120
    """Minutes without use until a person's server is stopped. Files stay. Use is what a person does and what a notebook
    or terminal computes; a page that is open and that nobody touches is none."""
    packages: Annotated[list[Requirement], Reaches(NEW_SERVERS)] = Field(
        default=[], examples=[["numpy", "pandas>=2,<3", "matplotlib"]]
    )
    """Python packages of the course, with a version or a range where it matters. ``./coursehub lock COURSE`` picks
    exact versions once and keeps them in git; nothing changes under a running class."""
    extensions: Annotated[list[Requirement], Reaches(NEW_SERVERS)] = Field(
        default=[], examples=[["jupyterlab-git", "jupyterlab-spellchecker>=0.8"]]
    )
    """Extensions of JupyterLab, by their names at the Python index. Everybody of the class has them; they are locked
    with the packages. One that is only a source package, without a built wheel, is refused. Every course has
    jupyter-resource-usage (memory in use) and jupyter-archive (a folder as one file); docs/extensions.md says which
    others classes like, and what they cost."""
    pdf: Annotated[bool, Reaches(NEW_SERVERS), Field(examples=[True])] = False
    """Whether notebooks can be saved as PDF (File > Save and Export Notebook As), with formulas, plots, wide tables and
    letters of all scripts. It takes 300 MB of the server's disk."""
    kernels: Annotated[list[Literal["r", "octave"]], Reaches(NEW_SERVERS)] = Field(
        default=[], examples=[["r", "octave"]]
    )
    """Languages beside Python. ``r`` brings R with its recommended packages, ``octave`` GNU Octave with gnuplot, both
    from Debian: a few hundred megabytes and a minute or two at the first ``apply``. More R packages come by ``apt``,
    as r-cran-NAME."""
    apt: Annotated[list[DebianPackage], Reaches("everybody, at once")] = Field(
        default=[], examples=[["graphviz", "hunspell-de-de"]]
    )
    """Debian packages for the server: programs and libraries that your Python packages or your students call. What is
    taken out of the list stays installed on a server that is there, and is missing on the next new one."""
    imports: Annotated[
        list[Module], Reaches("nobody; the modules are tried before the next packages are given out")
    ] = Field(default=[], examples=[["numpy", "pandas", "matplotlib.pyplot"]])
    """Modules that must import on the server before the class gets the packages. They are tried in the new environment,
    beside the one that serves; if one fails, the class keeps what it had, and ``apply`` says which. One that joins the
    list without a change of packages is tried too. Servers that run keep what they started with."""
    material: Annotated[
        Material,
        Reaches("everybody, at the next click of a link; nothing restarts"),
        Field(examples=[{"repositories": [{"name": "labs", "url": "https://github.com/physics/labs"}]}]),
    ] = Material()
    """What students are given to work with: notebooks from git, and data. A change of it restarts nothing."""
    network: Annotated[
        Network,
        Reaches("everybody, at once; a running server finds the way to a list after its next start"),
        Field(examples=[{"only": ["index.example.org", "files.example.org"]}]),
    ] = Network()
    """What people's programs may reach outside of the server. Nothing of it means the internet, but no mail, no private
    network and nothing of the cloud's own."""
    page: Annotated[
        Page,
        Reaches("everybody, at once; nothing restarts"),
        Field(examples=[{"message": "Lab 3 is due on Friday at 17:00.", "help": "help@example.edu"}]),
    ] = Page()
    """What the sign-in page says besides the course's title. A change of it restarts nothing."""
    backup: Annotated[
        Backup,
        Reaches("nobody of the class"),
        Field(examples=[{"targets": [{"name": "volume", "kind": "directory", "path": "/mnt/backups"}]}]),
    ] = Backup()
    """Backups of homes, teams, the hub's database and the server's secrets. ``restore`` brings a file or all back."""
    alert: Annotated[
        Alert, Reaches("nobody of the class"), Field(examples=[{"webhook": "https://chat.example.edu/hooks/abc"}])
    ] = Alert()
    """Who is told when something is wrong that nobody sees at once, such as a backup that fails or is late."""
    signin: Annotated[
        Signin,
        Reaches("everybody, at the next sign-in; the hub restarts, and running servers go on"),
        Field(examples=[{"kind": "google", "client_id": "1234567890-abc.apps.googleusercontent.com"}]),
    ] = Signin()
    """How people sign in: by password, or vouched for by Google, GitHub, Microsoft, your college or your LMS."""
    people: Annotated[
        People | None,
        Field(examples=[{"professors": [{"account": "curie", "name": "Marie Curie"}], "students": []}]),
    ] = None
    """Who may sign in, by role; nobody else of the college can. Leave it out to keep the people in an encrypted class
    list (``./coursehub roster import COURSE FILE``): real names do not belong into git in clear."""

    @model_validator(mode="before")
    @classmethod
    def _paths_with_manual_dns(cls, given: object) -> object:
        """With manual DNS the teacher makes the records, so the default must not need a wildcard record."""
        if isinstance(given, dict) and given.get("dns") == "manual":
            return {**WITH_MANUAL_DNS, **given}
        return given

    @property
    def locked_packages(self) -> list[str]:
        """All packages requested for the course's Python environment; the lock is made from them."""
        return [*self.packages, *self.extensions, *(one for kernel in self.kernels for one in KERNELS[kernel])]

    @property
    def hostnames(self) -> tuple[str, ...]:
        """Every name of the hub; the first one is the printed one."""
        return (self.domain, f"www.{self.domain}") if self.www else (self.domain,)

    @property
    def subdomains(self) -> bool:
        """Whether each person's server has a name of its own below the hub's."""
        return self.isolation == "subdomains"

    @property
    def dns_names(self) -> tuple[str, ...]:
        """Every name that needs a record: the hub's, and with subdomains the wildcard and the name for challenges."""
        below = (f"*.{self.domain}", f"{CHALLENGE}{self.domain}") if self.subdomains else ()
        return (*self.hostnames, *below)


class CourseFile(Facts):
    """The course file: everything that a teacher decides about one course."""

    course: Course
    """The file's one top key."""
