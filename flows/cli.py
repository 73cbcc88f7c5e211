"""The command line: the commands that write a store, and `config`; errors to one line and an exit code.

Exit codes: 0 done, 1 it failed (or was stopped), 2 wrong usage. Rooms are imported inside the commands, so that
`--help` and the first line of progress come at once.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from flows import cli_read
from flows.config import Settings, key_of, load
from flows.progress import console
from flows.terminal import (
    AgentOption,
    ConcurrencyOption,
    ConnectOption,
    CorpusOption,
    DelayOption,
    DepthOption,
    JsonOption,
    NameOption,
    NodesOption,
    PagesOption,
    PolicyOption,
    PrefectOption,
    PrivateOption,
    QuietOption,
    ScopeOption,
    StoreOption,
    WorkersOption,
    app,
    as_flows,
    emit,
    said,
    settings_from,
    store_at,
)  # fmt: skip
from storage.errors import BadConfig, InvalidUrl, QueryRefused, ThresherError

WRONG_USAGE: Final = (BadConfig, InvalidUrl, QueryRefused)

assert cli_read, "it registers the reading commands on `app`"


@app.command()
def run(
    inputs: Annotated[list[str], typer.Argument(help="Seed URLs, or WARC files.")],
    store: StoreOption = None,
    name: NameOption = None,
    pages: PagesOption = None,
    depth: DepthOption = None,
    scope: ScopeOption = None,
    delay: DelayOption = None,
    concurrency: ConcurrencyOption = None,
    nodes: NodesOption = None,
    user_agent: AgentOption = None,
    connect_to: ConnectOption = None,
    allow_private: PrivateOption = None,
    workers: WorkersOption = None,
    policy: PolicyOption = None,
    corpus: CorpusOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Crawl (or import), clean and publish: from a URL or a WARC file to a corpus.

    Example: thresher run https://example.org/ --user-agent "me/1.0 (+https://me.example/bot)" --pages 100
    """
    said("run")
    settings = settings_from(
        store=store, crawl_name=name, crawl_pages=pages, crawl_depth=depth, crawl_scope=scope, crawl_delay=delay,
        crawl_concurrency=concurrency, crawl_nodes=nodes, crawl_user_agent=user_agent, crawl_connect_to=connect_to,
        crawl_allow_private=allow_private, clean_workers=workers, publish_policy=policy, publish_name=corpus,
    )  # fmt: skip
    files = [Path(item) for item in inputs if _is_file(item)]
    seeds = [item for item in inputs if not _is_file(item)]
    if seeds:
        from flows.crawl import check

        check(seeds, settings)
    if as_flows(prefect):
        from flows import deployed

        result = deployed.run(seeds=seeds, files=[str(path) for path in files], settings=asdict(settings))
    else:
        from flows.run import run as run_all

        result = run_all(store_at(settings, create=True), settings, seeds=seeds, files=files, quiet=quiet).as_json()
    if as_json:
        emit(result)
    else:
        from flows.funnel import Funnel, render

        typer.echo(render(Funnel(**result["funnel"])))
    _stopped(result["crawled"])


@app.command()
def crawl(
    seeds: Annotated[list[str] | None, typer.Argument(help="Seed URLs; none resumes the crawl of that name.")] = None,
    store: StoreOption = None,
    name: NameOption = None,
    pages: PagesOption = None,
    depth: DepthOption = None,
    scope: ScopeOption = None,
    delay: DelayOption = None,
    concurrency: ConcurrencyOption = None,
    nodes: NodesOption = None,
    user_agent: AgentOption = None,
    connect_to: ConnectOption = None,
    allow_private: PrivateOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch pages into signed bundles and a table of captures.

    Example: thresher crawl https://example.org/ --user-agent "me/1.0 (+https://me.example/bot)" --scope site
    """
    said("crawl")
    settings = settings_from(
        store=store, crawl_name=name, crawl_pages=pages, crawl_depth=depth, crawl_scope=scope, crawl_delay=delay,
        crawl_concurrency=concurrency, crawl_nodes=nodes, crawl_user_agent=user_agent, crawl_connect_to=connect_to,
        crawl_allow_private=allow_private,
    )  # fmt: skip
    from flows.crawl import check

    check(seeds or (), settings)
    if as_flows(prefect):
        from flows import deployed

        result = deployed.crawl(seeds=list(seeds or ()), settings=asdict(settings))
    else:
        from flows.crawl import crawl as crawl_now

        result = asdict(crawl_now(store_at(settings, create=bool(seeds)), seeds or (), settings, quiet=quiet))
    if as_json:
        emit(result)
    else:
        typer.echo(f"{result['pages']:,} pages, {result['captures']:,} captures in crawl {result['crawl']!r}")
    _stopped(result)


def _stopped(crawled: dict[str, Any] | None) -> None:
    """Leave with 1 when the crawl was stopped before its end, and say how to go on."""
    if crawled is not None and not crawled["finished"]:
        console.print(
            f"stopped; all that was acknowledged is kept. To go on: "
            f"thresher crawl --name {crawled['crawl']} with the same --store and options"
        )
        raise typer.Exit(1)


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="WARC files, gzipped or not.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take anybody's WARC files into the same captures; they have no receipts.

    Example: thresher import CC-MAIN-2026-45.warc.gz
    """
    said("import")
    from flows.imports import import_files

    for path in files:
        if not path.is_file():
            raise BadConfig("import", str(path), "no such file")
    result = import_files(store_at(settings_from(store=store), create=True), files, quiet=quiet)
    if as_json:
        emit(asdict(result))
        return
    for note in result.notes:
        console.print(f"note: {escape(note)}")
    typer.echo(f"{result.captures:,} captures, {result.pages:,} pages worth cleaning from {result.files:,} files")


@app.command()
def clean(
    store: StoreOption = None,
    workers: WorkersOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Extract, normalise and measure every page that this recipe has not cleaned yet.

    Example: thresher clean --workers 2
    """
    said("clean")
    settings = settings_from(store=store, clean_workers=workers)
    if as_flows(prefect):
        from flows import deployed

        result = deployed.clean(settings=asdict(settings))
    else:
        from flows.clean import clean as clean_now
        from pipeline.recipe import Recipe

        result = asdict(clean_now(store_at(settings), Recipe(), workers=settings.clean_workers, quiet=quiet))
    if as_json:
        emit(result)
    else:
        typer.echo(f"{result['pages']:,} pages cleaned, {result['documents']:,} documents with text in {result['log']}")


@app.command()
def publish(
    store: StoreOption = None,
    policy: PolicyOption = None,
    corpus: CorpusOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Apply a policy to the documents: a corpus, and the reason of every document that is not in it.

    Example: thresher publish --policy fineweb --corpus web-fineweb
    """
    said("publish")
    settings = settings_from(store=store, publish_policy=policy, publish_name=corpus)
    if as_flows(prefect):
        from flows import deployed

        result = deployed.publish(settings=asdict(settings))
    else:
        from flows.publish import publish as publish_now
        from pipeline.policy import Policy
        from pipeline.recipe import Recipe

        chosen = Policy.preset(settings.publish_policy)
        result = asdict(publish_now(store_at(settings), Recipe(), chosen, name=settings.publish_name, quiet=quiet))
    if as_json:
        emit(result)
    else:
        state = "wrote" if result["written"] else "unchanged"
        typer.echo(
            f"{state} {result['log']} {result['snapshot'][:12]}: "
            f"{result['corpus']:,} documents, {result['removals']:,} removals, {result['edges']:,} verified pairs"
        )


@app.command()
def config(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Print the settings in force and where each value came from.

    Example: THRESHER_CRAWL_PAGES=50 thresher config
    """
    found = load({"store": store})
    values = asdict(found.settings)
    if as_json:
        emit({key_of(name): {"value": values[name], "source": found.sources[name]} for name in values})
        return
    for field in fields(Settings):
        shown = json.dumps(values[field.name], ensure_ascii=False)
        typer.echo(f"{key_of(field.name):<22} = {shown:<28} # {found.sources[field.name]}")


def _is_file(item: str) -> bool:
    return "://" not in item and (Path(item).is_file() or item.endswith((".warc", ".warc.gz", ".arc", ".arc.gz")))


def main() -> None:
    """The console script: run a command; one line and an exit code for errors that are ours."""
    try:
        app()
    except ThresherError as error:
        console.print(f"thresher: {escape(str(error))}", style="red" if console.is_terminal else None)
        sys.exit(2 if isinstance(error, WRONG_USAGE) else 1)
    except BrokenPipeError:
        # The reader of our output went away: nothing more to say, to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # The file system's own refusals, such as an --output that can not be written, are no bugs of ours.
        console.print(f"thresher: {escape(str(error))}")
        sys.exit(1)
