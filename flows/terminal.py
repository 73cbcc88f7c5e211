"""What all commands share: the application, their options, settings, and how results are printed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flows.config import Settings, load
from flows.progress import console

if TYPE_CHECKING:
    from storage import Store

app: Final = typer.Typer(
    name="thresher",
    help="Crawl the web, clean what comes home, keep only the grain, and be able to prove every row.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StoreOption = Annotated[str | None, typer.Option("--store", help="Folder or URL of the store.", show_default="store")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]
PrefectOption = Annotated[bool, typer.Option("--prefect", help="Run as Prefect flows (also with PREFECT_API_URL set).")]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the crawl; the same name resumes it.")]
PagesOption = Annotated[int | None, typer.Option("--pages", help="Pages to fetch at most; 0 = no bound.")]
DepthOption = Annotated[int | None, typer.Option("--depth", help="Links to follow from a seed.")]
ScopeOption = Annotated[str | None, typer.Option("--scope", help="host, site or any.")]
DelayOption = Annotated[float | None, typer.Option("--delay", help="Seconds between two fetches of one host.")]
ConcurrencyOption = Annotated[int | None, typer.Option("--concurrency", help="Hosts fetched at the same time.")]
NodesOption = Annotated[int | None, typer.Option("--nodes", help="Nodes in this process.")]
AgentOption = Annotated[
    str | None, typer.Option("--user-agent", help='Product and contact: "name/1.0 (+https://you.example/bot)".')
]
ConnectOption = Annotated[
    str | None, typer.Option("--connect-to", help="HOST:PORT that every connection goes to; names stay.")
]
PrivateOption = Annotated[
    bool | None, typer.Option("--allow-private", help="Fetch from addresses that are not public.")
]
WorkersOption = Annotated[int | None, typer.Option("--workers", help="Processes that clean; 0 = one per core.")]
PolicyOption = Annotated[str | None, typer.Option("--policy", help="Preset: default, gopher, c4, fineweb, none.")]
CorpusOption = Annotated[str | None, typer.Option("--corpus", help="Log that the corpus is in.")]


def settings_from(**flags: Any) -> Settings:
    """The settings in force for a command with these flags; workers 0 becomes the number of cores."""
    settings = load(flags).settings
    return replace(settings, clean_workers=settings.clean_workers or os.cpu_count() or 1)


def as_flows(prefect: bool) -> bool:
    """Whether a command runs as Prefect flows: asked for, or a server is configured."""
    return prefect or bool(os.environ.get("PREFECT_API_URL"))


def emit(value: Any) -> None:
    """Print a result as JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")


def store_at(settings: Settings, *, create: bool = False) -> Store:
    """The store that a command works on."""
    from storage import open_store

    return open_store(settings.store, create=create)


def said(step: str) -> None:
    """The first line of progress, before anything heavy is imported."""
    if not console.is_terminal:
        console.print(f"thresher {step}")
