"""One place for every setting: defaults here, then `thresher.toml`, then `THRESHER_*`, then flags. Later wins.

Each value remembers where it came from, so that `thresher config` can say why something is in force.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from storage.errors import BadConfig

FILE: Final = "thresher.toml"
ENV_PREFIX: Final = "THRESHER_"
TEST_PREFIX: Final = "THRESHER_TEST_"  # settings of the test suite, none of ours
_LOG: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_PLACE: Final = re.compile(r"[^\s/@:]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}")
SCOPES: Final = ("host", "site", "any")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. A field `crawl_pages` is `pages` in `[crawl]`, and `THRESHER_CRAWL_PAGES`."""

    store: str = "store"  # folder, file:///..., s3://bucket/prefix
    crawl_name: str = "default"
    crawl_pages: int = 1000  # pages to fetch at most; 0 = no bound
    crawl_depth: int = 5  # links to follow from a seed
    crawl_scope: str = "host"  # host, site or any
    crawl_delay: float = 3.0  # seconds between two fetches of one host; a longer Crawl-delay in robots.txt wins
    crawl_concurrency: int = 32  # hosts fetched at the same time, by one node
    crawl_nodes: int = 1  # nodes in this process
    crawl_user_agent: str = ""  # product/version (+contact); required to crawl
    crawl_connect_to: str = ""  # HOST:PORT that every connection goes to; names and Host headers stay
    crawl_allow_private: bool = False  # fetch from addresses that are not public
    clean_workers: int = 0  # processes; 0 = one per core
    publish_policy: str = "default"  # preset
    publish_name: str = "corpus"  # log that the corpus goes to


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force, and for each of its fields where the value came from."""

    settings: Settings
    sources: dict[str, str]


def key_of(field: str) -> str:
    """The dotted name of a field of Settings: `crawl_user_agent` is `crawl.user_agent`."""
    section, _, rest = field.partition("_")
    return f"{section}.{rest}" if rest else field


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Config:
    """Read the settings in force for a command that was started in `folder` with these flags (None = not given).

    Raises BadConfig for a key that does not exist and for a value of the wrong type or out of range.
    """
    values: dict[str, Any] = {field.name: field.default for field in fields(Settings)}
    sources = dict.fromkeys(values, "default")
    path = (folder or Path.cwd()) / FILE
    for source, given in (
        (FILE, _from_file(path) if path.is_file() else {}),
        ("environment", _from_environment(os.environ if environ is None else environ)),
        ("flag", {name: value for name, value in (flags or {}).items() if value is not None}),
    ):
        for name, value in given.items():
            _known(name, source)
            values[name] = _typed(name, value, type(values[name]), source)
            sources[name] = source if source != "environment" else ENV_PREFIX + name.upper()
    settings = Settings(**values)
    _check(settings, sources)
    return Config(settings, sources)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig("read settings", str(path), str(error), "it must be TOML in UTF-8") from error
    flat: dict[str, Any] = {}
    for key, value in parsed.items():
        if isinstance(value, dict):
            flat |= {f"{key}_{inner}": leaf for inner, leaf in value.items()}
        else:
            flat[key] = value
    return flat


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in environ.items() if name.startswith(ENV_PREFIX)}
    return {
        name.removeprefix(ENV_PREFIX).lower(): value for name, value in ours.items() if not name.startswith(TEST_PREFIX)
    }


def _known(name: str, source: str) -> None:
    names = [field.name for field in fields(Settings)]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {key_of(near[0])}?" if near else "`thresher config` lists all settings"
        raise BadConfig("read settings from", source, f"there is no setting {key_of(name)}", hint)


def _typed(name: str, value: Any, kind: type, source: str) -> Any:
    if kind is bool and isinstance(value, str):
        parse: Callable[[Any], Any] = _boolean
    elif kind is float and isinstance(value, int) and not isinstance(value, bool):
        parse = float
    elif isinstance(value, str) and kind in (int, float):
        parse = kind
    elif type(value) is kind:
        return value
    else:
        raise BadConfig("read setting", key_of(name), f"{value!r} from {source} is not {_article(kind)}")
    try:
        return parse(value)
    except ValueError as error:
        raise BadConfig("read setting", key_of(name), f"{value!r} from {source} is not {_article(kind)}") from error


def _boolean(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    """Bounds that do not depend on the command."""

    def refuse(name: str, cause: str, hint: str = "") -> None:
        raise BadConfig("read setting", key_of(name), f"{getattr(settings, name)!r} from {sources[name]} {cause}", hint)

    if settings.crawl_scope not in SCOPES:
        refuse("crawl_scope", "is not a scope", f"one of {', '.join(SCOPES)}")
    for name in ("crawl_pages", "crawl_depth", "crawl_delay", "clean_workers"):
        if not getattr(settings, name) >= 0:
            refuse(name, "is negative")
    for name in ("crawl_concurrency", "crawl_nodes"):
        if getattr(settings, name) < 1:
            refuse(name, "is below 1")
    if not _LOG.fullmatch(settings.publish_name) or settings.publish_name.startswith(("captures", "documents-")):
        refuse("publish_name", "is no name for a corpus", "a-z, 0-9, dots and dashes; not captures, not documents-*")
    if settings.crawl_connect_to and not _PLACE.fullmatch(settings.crawl_connect_to):
        refuse("crawl_connect_to", "is not HOST:PORT")
    if not settings.store:
        refuse("store", "names no store", "a folder, file:///..., or s3://bucket/prefix")
