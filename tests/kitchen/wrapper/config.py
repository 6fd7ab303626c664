"""``kitchen.yml`` as typed, frozen objects: the part of Test Kitchen 4 and kitchen-salt 0.7 that we support.

Sections are merged like in Test Kitchen (``Kitchen::DataMunger``): global, then platform, then suite; mappings are
merged, other values replaced. A key that this wrapper does not support is refused, not ignored.
"""

from __future__ import annotations

import copy
import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from runner.course import Course, Facts, Source
from runner.errors import USAGE, CoursehubError
from runner.local.identity import ZONE

Section = TypeVar("Section", bound=Facts)
Top = dict[str, dict[str, list[str | dict[str, str]]]]

#: Sections that a platform and a suite may override.
SECTIONS = ("driver", "transport", "provisioner", "verifier")


class Driver(Facts):
    """kitchen-digitalocean's keys, with the cloud's own slugs."""

    name: Literal["digitalocean"] = "digitalocean"
    image: str | None = None
    region: str = "nyc1"
    size: str = "s-1vcpu-1gb"


class Transport(Facts):
    """How a machine is reached."""

    name: Literal["ssh"] = "ssh"
    username: str = "root"
    port: int = Field(default=22, ge=1, le=65535)


class Dependency(Facts):
    """States from elsewhere in the repository: ``path/name`` as ``name``, with ``path/_states`` and the like."""

    name: str
    path: str


class Provisioner(Facts):
    """kitchen-salt's ``salt_solo``. The second group of keys is about how the gem installs Salt and is ignored here."""

    name: Literal["salt_solo"] = "salt_solo"
    root_path: str = Field(default="/tmp/kitchen", pattern=r"^/[A-Za-z0-9._/-]+$")
    is_file_root: bool = False
    formula: str | None = None
    collection_name: str | None = None
    state_collection: str | Literal[False] = False
    dependencies: list[Dependency] = Field(default_factory=list)
    salt_copy_filter: list[str] = Field(default_factory=list)
    salt_file_root: str = "/srv/salt"
    salt_pillar_root: str = "/srv/pillar"
    salt_minion_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+$")
    salt_minion_extra_config: dict[str, Any] = Field(default_factory=dict)
    state_top: Top = Field(default_factory=dict)
    pillars: dict[str, dict[str, Any]] = Field(default_factory=dict)
    pillars_from_files: dict[str, str] = Field(default_factory=dict)
    grains: dict[str, Any] = Field(default_factory=dict)
    init_environment: str = ""
    pre_salt_command: str = ""

    require_chef: bool = True
    salt_install: Literal["bootstrap", "pip", "apt", "distrib", False] = "bootstrap"
    salt_version: str = "latest"
    pip_bin: str = "pip"
    salt_call_command: str = "salt-call"
    prepare_salt_environment: str = ""


class Verifier(Facts):
    """Test Kitchen's ``shell`` verifier, which runs on this computer and not on the machine."""

    name: Literal["shell"] = "shell"
    remote_exec: Literal[False] = False
    command: str = "true"


class Platform(Facts):
    """An operating system, with its differences from the others."""

    name: str = Field(min_length=1)
    driver: Driver = Driver()
    transport: Transport = Transport()
    provisioner: Provisioner = Provisioner()
    verifier: Verifier = Verifier()


class Suite(Platform):
    """What to converge and to test. ``includes`` and ``excludes`` are names of platforms, or ``/patterns/`` of them."""

    includes: list[str] = Field(default_factory=list)
    excludes: list[str] = Field(default_factory=list)


class KitchenFile(Facts):
    """The whole file. Each section is validated where it is written; values come from the merged sections."""

    driver: Driver = Driver()
    transport: Transport = Transport()
    provisioner: Provisioner = Provisioner()
    verifier: Verifier = Verifier()
    platforms: list[Platform] = Field(min_length=1)
    suites: list[Suite] = Field(min_length=1)


@dataclass(frozen=True)
class Instance:
    """One suite on one platform, with its merged sections."""

    name: str
    suite: str
    platform: str
    driver: Driver
    transport: Transport
    provisioner: Provisioner
    verifier: Verifier
    zone: str = ZONE

    def below(self, label: str) -> Instance:
        """The same with names one label deeper, so that simultaneous kitchens share none."""
        zone = f"{label}.{ZONE}"
        return replace(self, zone=zone, provisioner=_renamed(self.provisioner, zone))

    @property
    def image(self) -> str:
        """The image's slug; by default kitchen-digitalocean uses the platform's name."""
        return self.driver.image or self.platform

    @property
    def hostnames(self) -> tuple[str, ...]:
        """The names in the machine's pillar that need certificates, so DNS must point at it."""
        names: list[str] = []
        wanted = self._pillar_files()
        for file in wanted:
            pillar = self.provisioner.pillars.get(file, {})
            names += pillar.get("letsencrypt", {}).get("names", [])
            if "course" in pillar:
                names += Course.model_validate(pillar["course"]).hostnames
        return tuple(dict.fromkeys(names))

    def sees(self, file: str) -> bool:
        """Whether the suite's top file assigns this pillar file to the machine."""
        return file in self._pillar_files()

    def _pillar_files(self) -> list[str]:
        tops = self.provisioner.pillars.get("top.sls", {})
        names = [sls for top in tops.values() for listed in top.values() for sls in listed if isinstance(sls, str)]
        files = [f"{name.replace('.', '/')}.sls" for name in names]
        # Not in any top file: a pillar file of the project imports it by the minion's id.
        return [*files, f"courses/{self.provisioner.salt_minion_id}.sls"]


def _renamed(provisioner: Provisioner, zone: str) -> Provisioner:
    def rename(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {rename(key): rename(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [rename(inner) for inner in value]
        if isinstance(value, str) and value.endswith(f".{ZONE}"):
            return f"{value.removesuffix(ZONE)}{zone}"
        return value

    return provisioner.model_copy(update={"pillars": rename(provisioner.pillars)})


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """``new`` over ``old`` like Ruby's ``rmerge``: mappings are merged, other values replaced."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = merge(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged


def instance_name(suite: str, platform: str) -> str:
    """The name as ``Kitchen::Instance.name_for`` makes it."""
    return re.sub(r"[_,/]", "-", f"{suite}-{platform}").replace(".", "")


def load(path: Path, root: Path) -> tuple[Instance, ...]:
    """All instances of a file, in Test Kitchen's order.

    Raises CoursehubError (2) with ``file:line`` for invalid YAML, an unsupported key (with the nearest supported one),
    a value of the wrong type, a repeated name, and an unknown platform.
    """
    shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    if not path.is_file():
        raise CoursehubError(f"there is no {shown}; give another with --file", exit_code=USAGE)
    source = Source(path, shown, aliases=True)
    document = _plugins_by_name(source.data)
    _validate(KitchenFile, document, source)
    _names_once(document, source)
    _known_platforms(document, source)
    return tuple(
        _instance(document, suite, platform, source)
        for suite in document["suites"]
        for platform in document["platforms"]
        if _wanted(suite, platform["name"])
    )


def _plugins_by_name(data: Any) -> Any:
    """``driver: vagrant`` is short for ``driver: {name: vagrant}``, and a section without a value is empty."""
    document = copy.deepcopy(data)
    if not isinstance(document, dict):
        return document
    listed = [item for key in ("platforms", "suites") for item in document.get(key) or [] if isinstance(item, dict)]
    for place in (document, *listed):
        for section in SECTIONS:
            if section in place and (place[section] is None or isinstance(place[section], str)):
                place[section] = {"name": place[section]} if place[section] else {}
    return document


def _validate(model: type[Section], data: Any, source: Source, where: tuple[str | int, ...] = ()) -> Section:
    try:
        return model.model_validate(data)
    except ValidationError as failure:
        errors = failure.errors()
        for error in errors:
            error["loc"] = (*where, *error["loc"])
        # A misspelt key may also count as missing; only the misspelling is reported.
        first = min(errors, key=lambda error: (error["type"] != "extra_forbidden", source.line(error["loc"])))
        raise CoursehubError(
            f"{source.shown}:{source.line(first['loc'])}: {_explain(first, model, source.data, len(where))}",
            exit_code=USAGE,
        ) from failure


def _explain(error: ErrorDetails, model: type[BaseModel], data: Any, depth: int) -> str:
    location = error["loc"]
    key = _shown(location, data)
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}; {_nearest(model, location[depth:])}"
    if error["type"] == "missing":
        return f"{key} is missing; add it"
    return f"{key}: {error['msg'].removeprefix('Value error, ').removeprefix('Input ')}; correct it"


def _shown(location: Sequence[str | int], data: Any) -> str:
    """A place in the file for messages: items of a list are shown by name."""
    parts = []
    for part in location:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
        parts.append(str(data.get("name", part)) if isinstance(part, int) and isinstance(data, dict) else str(part))
    return ".".join(parts) or "the file"


def _nearest(model: type[BaseModel], location: Sequence[str | int]) -> str:
    for part in location[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    near = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(model.model_fields)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, (_model_in(part) for part in typing.get_args(annotation))), None)


def _names_once(document: Mapping[str, Any], source: Source) -> None:
    for key in ("platforms", "suites"):
        seen: set[str] = set()
        for index, item in enumerate(document[key]):
            if item["name"] in seen:
                raise CoursehubError(
                    f"{source.at(key, index)}: {key} has {item['name']} twice; rename one", exit_code=USAGE
                )
            seen.add(item["name"])


def _known_platforms(document: Mapping[str, Any], source: Source) -> None:
    known = [platform["name"] for platform in document["platforms"]]
    for index, suite in enumerate(document["suites"]):
        for key in ("includes", "excludes"):
            for number, wanted in enumerate(suite.get(key, [])):
                if not any(_matches(wanted, name) for name in known):
                    near = difflib.get_close_matches(wanted, known, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
                    raise CoursehubError(
                        f"{source.at('suites', index, key, number)}: suites.{suite['name']}.{key}: no platform "
                        f"{wanted}; {hint}",
                        exit_code=USAGE,
                    )


def _matches(wanted: str, platform: str) -> bool:
    """``Kitchen::PlatformFilter``: a name, or a ``/pattern/`` with the options i and x."""
    pattern = re.fullmatch(r"/(?P<pattern>.*)/(?P<options>[ix]*)", wanted, re.DOTALL)
    if pattern is None:
        return wanted == platform
    flags = (re.IGNORECASE if "i" in pattern["options"] else 0) | (re.VERBOSE if "x" in pattern["options"] else 0)
    return re.search(pattern["pattern"], platform, flags) is not None


def _wanted(suite: Mapping[str, Any], platform: str) -> bool:
    """Includes win over excludes, as in ``Kitchen::Config``."""
    if suite.get("includes"):
        return any(_matches(wanted, platform) for wanted in suite["includes"])
    return not any(_matches(wanted, platform) for wanted in suite.get("excludes", []))


def _instance(
    document: Mapping[str, Any], suite: Mapping[str, Any], platform: Mapping[str, Any], source: Source
) -> Instance:
    def section(name: str, model: type[Section]) -> Section:
        merged: dict[str, Any] = {}
        for place in (document, platform, suite):
            merged = merge(merged, place.get(name, {}))
        return _validate(model, merged, source, (name,))

    return Instance(
        instance_name(suite["name"], platform["name"]),
        suite["name"],
        platform["name"],
        section("driver", Driver),
        section("transport", Transport),
        section("provisioner", Provisioner),
        section("verifier", Verifier),
    )


def choose(instances: Sequence[Instance], wanted: str | None) -> list[Instance]:
    """The instances of Test Kitchen's INSTANCE argument: all, the one with this name, or those of a pattern.

    Raises CoursehubError (2) if there is none.
    """
    if wanted in (None, "", "all"):
        return list(instances)
    assert wanted is not None
    exact = [instance for instance in instances if instance.name == wanted]
    try:
        found = exact or [instance for instance in instances if re.search(wanted, instance.name)]
    except re.error as error:
        raise CoursehubError(f"{wanted!r} is not a pattern ({error}); give a name", exit_code=USAGE) from error
    if found:
        return found
    near = difflib.get_close_matches(wanted, [instance.name for instance in instances], n=1)
    hint = f"did you mean {near[0]}?" if near else "'list' shows them"
    raise CoursehubError(f"no instance {wanted!r}; {hint}", exit_code=USAGE)


def overlaid(provisioner: Provisioner, pillars: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The provisioner's pillar files with ``pillars`` merged into them."""
    for name, content in provisioner.pillars.items():
        yield name, merge(content, pillars.get(name, {}))
