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
    ClassTime,
    Day,
    DebianPackage,
    Email,
    Facts,
    Hostname,
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
from runner.course.idle import IdleAfter
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
    """Memory of one person. At the limit the notebook's kernel is killed: its variables are lost, but no file. The
    person's server and everybody else continue."""
    cpu: Annotated[float, Field(gt=0, le=64, examples=[1.5])] = 1.0
    """Processor cores of one person; 0.5 is half a core, 2.0 are two."""
    tasks: Annotated[int, Field(ge=64, le=32768, examples=[512])] = 512
    """Processes and threads of one person; this stops a program that starts more and more copies of itself."""
    disk: Annotated[
        Annotated[Amount, AfterValidator(between("100M", "1000G", "nobody can work with less, and no server has more"))]
        | None,
        Field(examples=["2G"]),
    ] = None
    """Disk space of one home, and of each team's directory. A change applies at once. People who have used it up can
    sign in and delete files; nobody else is affected. Without this key everybody has an equal share of the server's
    disk, at most 10G. Earlier versions of files do not count."""


class Page(Facts):
    """Texts on the hub's pages, in addition to the course's title."""

    message: Annotated[Paragraph | None, Field(examples=["Lab 3 is due on Friday at 17:00."])] = None
    """The message of the day. After ``apply`` it is at the top of the sign-in page and of the hub's other pages;
    nothing restarts and nobody is disturbed. For several lines, write ``|`` after the colon and indent the lines below
    it."""
    help: Annotated[Text | None, Field(examples=["help@example.edu"])] = None
    """The contact for questions. An email address or an https:// address becomes a link; other text, such as a room, is
    shown as it is."""
    logo: Annotated[Picture | None, Field(examples=["crest.png"])] = None
    """A picture above the course's title. Its file is in ``pillar/files/logos/`` and has at most 1 MB."""


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
    """The name of the course."""
    domain: Annotated[
        Hostname,
        AfterValidator(without_www),
        Reaches("everybody: the address changes"),
        Field(examples=["engr114.example.edu"]),
    ]
    """The address that students type. It is a name below a domain that you own. With ``cloud: digitalocean`` and ``dns:
    cloud`` that domain's zone must be in the same account."""
    www: Annotated[bool, Reaches("people who type www. before the address"), Field(examples=[False])] = True
    """Whether the address also works with www. before it. People are then redirected to the address itself."""
    contact: Annotated[Email, Reaches("nobody of the class"), Field(examples=["professor@example.edu"])]
    """Your email address, for the account at the certificate authority. Since June 2025 Let's Encrypt sends no mail
    about certificates that expire. They are renewed automatically, and ``status`` and ``check`` fail when one has less
    than 20 days left."""
    cloud: Annotated[Literal["local", "digitalocean"], Field(examples=["digitalocean"])] = "local"
    """Where the server is created. ``local`` is this computer, for trying things out; ``digitalocean`` is a droplet and
    needs a token in DIGITALOCEAN_ACCESS_TOKEN."""
    dns: Annotated[Literal["cloud", "manual"], Field(examples=["manual"])] = "cloud"
    """Who makes the DNS records of the address. ``cloud``: coursehub does, in the cloud's DNS; ``manual``: you or your
    college do, and the hub waits for them."""
    isolation: Annotated[
        Literal["subdomains", "paths"],
        Reaches("everybody, at the next sign-in; the hub restarts"),
        Field(examples=["subdomains"]),
    ] = "subdomains"
    """What separates people's servers in a browser. ``subdomains``: each server has its own address, such as
    ``https://curie.engr114.example.edu/``. A page of one server can do nothing in another server or in the hub, no
    matter who opens it. So teachers may open students' servers. ``paths``: all servers share the course's address, and
    people can open only their own server. With ``dns: manual`` the default is ``paths``, because ``subdomains`` then
    needs two more records from you: ``*.DOMAIN`` with the server's address, and an NS record
    ``_acme-challenge.DOMAIN`` with the value DOMAIN. A change signs everybody out once."""
    region: Annotated[Slug, Reaches("only a new server"), Field(examples=["nyc3"])] = "sfo3"
    """The place of the server, by the cloud's own name. A place near your students is faster."""
    size: Annotated[Slug, Reaches("only a new server"), Field(examples=["s-4vcpu-8gb"])] = "s-4vcpu-8gb"
    """The size of the server, by the cloud's own name; it decides the cost. The class gets 85 % of its memory. A
    student who works with numpy, pandas and matplotlib needs 83 MB of that, and up to 170 MB after a restart of the
    kernel (measured on 30 November 2026). ``coursehub size`` counts 150 MB for each, and names the size for your
    class; ``coursehub rehearse`` measures your server."""
    image: Annotated[
        Literal["debian-13-x64", "debian-12-x64", "ubuntu-24-04-x64"],
        Reaches("only a new server"),
        Field(examples=["debian-12-x64"]),
    ] = "debian-13-x64"
    """The operating system of a new server; an existing server does not change."""
    timezone: Annotated[
        Timezone, Reaches("the server's clock and its logs"), Field(examples=["America/Los_Angeles"])
    ] = "Etc/UTC"
    """The time zone of the course, as Continent/City."""
    term: Annotated[
        Term | None, Reaches("nobody of the class"), Field(examples=[{"first": "2026-09-21", "last": "2026-12-11"}])
    ] = None
    """The first and the last day of the course. With it, ``plan``, ``up`` and ``status`` say what the server costs for
    the whole term."""
    timetable: Annotated[
        list[ClassTime],
        Reaches("everybody, at once; running servers go on"),
        Field(examples=[["Mon 09:00", "Wed 14:30"]]),
    ] = Field(default=[])
    """When classes begin each week, in the course's time zone. Fifteen minutes before, the servers of those who used
    theirs in the last two weeks start, so that nobody waits when the class begins. With ``term``, only during the
    term."""
    limits: Annotated[Limits, Reaches(NEW_SERVERS), Field(examples=[{"memory": "1500M", "cpu": 1.5, "tasks": 512}])] = (
        Limits()
    )
    """What one person's server may use, so that one person cannot stop the class."""
    upload_limit: Annotated[
        Amount,
        AfterValidator(between("1M", "20G", "bigger files belong under material: data, where they are stored once")),
        Reaches("everybody, at once"),
        Field(examples=["250M"]),
    ] = "100M"
    """The biggest file that can be uploaded in the browser."""
    idle_after: Annotated[
        IdleAfter,
        Reaches("everybody, at once; running servers go on"),
        Field(examples=[{"professors": 480, "assistants": 480, "students": 120, "guests": 60}, 180]),
    ] = IdleAfter()
    """Minutes without use until a person's server is stopped. Files stay. One number is for all; roles can have numbers
    of their own. Use means that a person does something, or that a notebook or terminal computes, at most for a day
    after the person last did something; an open page that nobody touches does not count. JupyterLab says ten minutes
    before that the server stops, with a button to keep it. If others wait for memory, a student's server is stopped
    after half an hour without use."""
    packages: Annotated[list[Requirement], Reaches(NEW_SERVERS)] = Field(
        default=[], examples=[["numpy", "pandas>=2,<3", "matplotlib"]]
    )
    """Python packages of the course, with a version or a range where it matters. ``./coursehub lock COURSE`` chooses
    exact versions once and keeps them in git, so nothing changes during the term."""
    extensions: Annotated[list[Requirement], Reaches(NEW_SERVERS)] = Field(
        default=[], examples=[["jupyterlab-git", "jupyterlab-spellchecker>=0.8"]]
    )
    """Extensions of JupyterLab, by their names at the Python index. Everybody in the class has them, and they are
    locked with the packages. An extension that is only a source package, without a built wheel, is refused. Every
    course has jupyter-resource-usage (memory in use) and jupyter-archive (a folder as one file). docs/extensions.md
    lists others that are useful for classes, and their cost."""
    pdf: Annotated[bool, Reaches(NEW_SERVERS), Field(examples=[True])] = False
    """Whether notebooks can be saved as PDF (File > Save and Export Notebook As), with formulas, plots, wide tables and
    letters of all scripts. It needs 300 MB of the server's disk."""
    kernels: Annotated[list[Literal["r", "octave"]], Reaches(NEW_SERVERS)] = Field(
        default=[], examples=[["r", "octave"]]
    )
    """Languages in addition to Python. ``r`` is R with its recommended packages, ``octave`` is GNU Octave with gnuplot.
    Both come from Debian and need a few hundred megabytes, and a minute or two at the first ``apply``. More R packages:
    list them under ``apt`` as r-cran-NAME."""
    apt: Annotated[list[DebianPackage], Reaches("everybody, at once")] = Field(
        default=[], examples=[["graphviz", "hunspell-de-de"]]
    )
    """Debian packages for the server: programs and libraries that your Python packages or your students use. A package
    that you remove from the list stays installed on the existing server, and is not on the next new one."""
    imports: Annotated[
        list[Module], Reaches("nobody; the modules are tried before the class gets the next packages")
    ] = Field(default=[], examples=[["numpy", "pandas", "matplotlib.pyplot"]])
    """Modules that must import on the server before the class gets the packages. They are tried in the new environment;
    if one fails, the class keeps the old environment, and ``apply`` says which module failed. A module that you add
    without changing packages is tried too. Running servers keep the environment with which they started."""
    material: Annotated[
        Material,
        Reaches("everybody, at the next click of a link; nothing restarts"),
        Field(examples=[{"repositories": [{"name": "labs", "url": "https://github.com/physics/labs"}]}]),
    ] = Material()
    """Material for students: notebooks from git, and data. A change restarts nothing."""
    network: Annotated[
        Network,
        Reaches("everybody, at once; a running server reaches the names of a list after its next start"),
        Field(examples=[{"only": ["index.example.org", "files.example.org"]}]),
    ] = Network()
    """What people's programs may reach outside the server. Without this key they reach the internet, but no mail
    servers, no private networks and no internal services of the cloud."""
    page: Annotated[
        Page,
        Reaches("everybody, at once; nothing restarts"),
        Field(examples=[{"message": "Lab 3 is due on Friday at 17:00.", "help": "help@example.edu"}]),
    ] = Page()
    """What the sign-in page says in addition to the course's title. A change restarts nothing."""
    backup: Annotated[
        Backup,
        Reaches("nobody of the class"),
        Field(examples=[{"targets": [{"name": "volume", "kind": "directory", "path": "/mnt/backups"}]}]),
    ] = Backup()
    """Backups of homes, teams, the hub's database and the server's secrets. ``restore`` brings files and homes back."""
    alert: Annotated[
        Alert, Reaches("nobody of the class"), Field(examples=[{"webhook": "https://chat.example.edu/hooks/abc"}])
    ] = Alert()
    """Where to report problems that nobody notices at once: a backup that fails or is late, a full disk. Needs a
    backup target."""
    signin: Annotated[
        Signin,
        Reaches("everybody, at the next sign-in; the hub restarts, and running servers go on"),
        Field(examples=[{"kind": "google", "client_id": "1234567890-abc.apps.googleusercontent.com"}]),
    ] = Signin()
    """How people sign in: by password, or through Google, GitHub, Microsoft, your college or your LMS."""
    people: Annotated[
        People | None,
        Field(examples=[{"professors": [{"account": "curie", "name": "Marie Curie"}], "students": []}]),
    ] = None
    """Who may sign in, by role; nobody else from the college can. Leave it out to keep the people in an encrypted class
    list (``./coursehub roster import COURSE FILE``): real names must not be in git in clear text."""

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
