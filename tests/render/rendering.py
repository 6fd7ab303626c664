"""Compiles states in this process like salt-call, and lists the files that they write."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pytest
import salt.loader
import salt.state
import salt.utils.dictupdate
import salt.utils.templates
import yaml
from salt.loader.lazy import LazyLoader
from saltfactories.daemons.minion import SaltMinion

ROOT = Path(__file__).resolve().parents[2]
REQUISITES = ("require", "watch", "onchanges", "onfail", "prereq", "listen", "use")
Chunk = dict[str, Any]


@functools.cache
def switched_off() -> frozenset[str]:
    """Salt's state modules that a server does not load."""
    settings = yaml.safe_load((ROOT / "salt" / "config" / "master").read_text())
    return frozenset(settings["ssh_minion_opts"]["disable_states"])


@dataclass(frozen=True)
class File:
    """A file as it would be on the server."""

    path: str
    text: str
    mode: str
    formula: str


@dataclass(frozen=True)
class Rendering:
    """States as Salt would run them. `errors` are Salt's own messages about the pillar and the states."""

    errors: list[str]
    chunks: list[Chunk]
    pillar: dict[str, Any]
    roots: list[Path]
    opts: dict[str, Any] = field(repr=False, default_factory=dict)

    def source(self, url: str) -> Path | None:
        """The file or directory of a salt:// URL, or None."""
        return next((root / url[7:] for root in self.roots if (root / url[7:]).exists()), None)

    def files(self) -> Iterator[File]:
        """Files that states write from a source or from contents; raises Jinja's errors."""
        for chunk in self.chunks:
            if (chunk["state"], chunk["fun"]) != ("file", "managed"):
                continue
            yield File(chunk["name"], self._text(chunk), str(chunk.get("mode", "")), chunk["__sls__"].split(".")[0])

    def _text(self, chunk: Chunk) -> str:
        if chunk.get("contents") is not None:
            contents = chunk["contents"]
            return "\n".join(contents) if isinstance(contents, list) else str(contents)
        if "contents_pillar" in chunk:
            return str(functools.reduce(dict.__getitem__, chunk["contents_pillar"].split(":"), self.pillar))
        source = self.source(chunk["source"])
        assert source, f"{chunk['__id__']}: {chunk['source']} does not exist"
        if chunk.get("template") != "jinja":
            return source.read_text(errors="replace")  # pictures too
        # As on the server: Salt's own filters, undefined names are errors, and only the context is available.
        context = copy.deepcopy({**chunk.get("defaults", {}), **chunk.get("context", {})})
        done = salt.utils.templates.JINJA(
            str(source), to_str=True, context=context, opts=self.opts, saltenv="base", salt={}, grains={}, pillar={}
        )
        assert done["result"], f"{chunk['source']}: {done['data']}"
        return str(done["data"])


@contextlib.contextmanager
def all_once(kept: tuple[dict[Any, Any], dict[Any, Any]] | None = None) -> Iterator[None]:
    """Cache templates and Salt's modules during the block, and let Salt log only errors.

    Salt makes a new environment and new loaders for each rendering, compiles every template again and lists the
    directories of all modules, which takes two thirds of the time. ``kept`` has the results of an earlier call.
    """
    compiled, listed = kept or ({}, {})
    usual = jinja2.Environment.compile

    def compile_once(self: jinja2.Environment, source: str, *given: Any, **named: Any) -> Any:
        settings = (*sorted(self.extensions), self.trim_blocks, self.lstrip_blocks, self.keep_trailing_newline)
        key = (type(self), *settings, source, *given, *named.items())
        if key not in compiled:
            compiled[key] = usual(self, source, *given, **named)
        return compiled[key]

    look = LazyLoader._refresh_file_mapping

    def look_once(self: LazyLoader) -> None:
        # All renderings share one minion's options here.
        key = (*self.module_dirs, None, *self.disabled, None, *self.static_modules)
        if key not in listed:
            look(self)
            listed[key] = {name: getattr(self, name) for name in ("file_mapping", "suffix_map", "suffix_order")}
        for name, value in listed[key].items():
            setattr(self, name, copy.copy(value))

    # Salt logs each step, which nobody reads: errors are in the rendering.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jinja2.Environment, "compile", compile_once)
            patch.setattr(LazyLoader, "_refresh_file_mapping", look_once)
            yield
    finally:
        logging.disable(before)


class Renderer:
    """One minion's configuration for many ids and grains: loading Salt again for each would take a second."""

    def __init__(self, minion: SaltMinion) -> None:
        self.minion = minion
        self._opts = dict(minion.config)
        self._grains = dict(salt.loader.grains(copy.deepcopy(self._opts)))

    def course(self, course: str, grains: dict[str, Any]) -> Rendering:
        """The top file for a course's server."""
        return self._render(self._prepare(course, grains), None, {})

    def formula(self, formula: str, grains: dict[str, Any], pillar: dict[str, Any]) -> Rendering:
        """One formula alone, with this pillar and the values shared by all parts of a server."""
        opts = self._prepare("alone", grains)
        opts["pillar_roots"] = {"base": []}
        agreed = yaml.safe_load((ROOT / "pillar" / "server.sls").read_text(encoding="utf-8"))
        return self._render(opts, formula, salt.utils.dictupdate.update(agreed, pillar))

    def call(self, course: str, grains: dict[str, Any], *arguments: str) -> Any:
        """The same with salt-call, in its own process; returns its document."""
        config = Path(self.minion.config_dir) / "minion.d"
        config.mkdir(exist_ok=True)
        override = config / "render.conf"
        override.write_text(json.dumps({"grains": grains}))
        try:
            done = self.minion.salt_call_cli().run("--local", f"--id={course}", *arguments)
        finally:
            override.unlink()
        assert done.returncode == 0, done.stderr
        return done.data

    def _prepare(self, minion_id: str, grains: dict[str, Any]) -> dict[str, Any]:
        opts = copy.deepcopy(self._opts)
        opts["id"] = minion_id
        opts["grains"] = {**self._grains, "id": minion_id, **grains}
        # Pretend that Salt's file server has scanned its roots: each rendering would do it again, and they do not
        # change.
        opts["__fs_update"] = True
        return opts

    def _render(self, opts: dict[str, Any], formula: str | None, pillar: dict[str, Any]) -> Rendering:
        with salt.state.HighState(opts, pillar_override=pillar) as highstate:
            found = dict(highstate.opts["pillar"])
            errors = [str(error) for error in found.get("_errors", [])]
            chunks: list[Chunk] = []
            if not errors:
                with self._active(highstate):
                    matches = {"base": [formula]} if formula else highstate.top_matches(highstate.get_top())
                    high, errors = highstate.render_highstate(matches)
                errors = [*errors, *highstate.state.verify_high(high)]
            if not errors:
                high, extended = highstate.state.reconcile_extend(high)
                high, required = highstate.state.requisite_in(high)
                chunks, compiled = highstate.state.compile_high_data(high)
                errors = [*extended, *required, *compiled]
            roots = [Path(root) for root in opts["file_roots"]["base"]]
            return Rendering([str(error) for error in errors], chunks, found, roots, opts)

    @staticmethod
    @contextlib.contextmanager
    def _active(highstate: salt.state.HighState) -> Iterator[None]:
        highstate.push_active()
        try:
            yield
        finally:
            highstate.pop_active()
