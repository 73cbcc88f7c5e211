"""The commands that read a store: sql, search, explain, verify; and the demo that shows the whole path."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.progress import Meter, console
from flows.terminal import CorpusOption, JsonOption, QuietOption, StoreOption, app, emit, said, settings_from, store_at
from storage.errors import BadConfig
from storage.schema import USES


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help="One SELECT over captures, decisions, documents, corpus, removals, edges.")
    ],
    store: StoreOption = None,
    corpus: CorpusOption = None,
    output: Annotated[str, typer.Option("--format", help="table, json, csv or parquet.")] = "table",
    to: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; standard output if none.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that the query may take.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Ask the newest snapshots with SQL.

    Example: thresher sql "SELECT lang, count(*) AS documents FROM corpus GROUP BY lang ORDER BY 2 DESC"
    """
    from storage import sql as storage_sql

    form = "json" if as_json else output
    if form not in storage_sql.FORMATS:
        raise BadConfig("sql", f"--format {form}", "no such format", f"one of {', '.join(storage_sql.FORMATS)}")
    settings = settings_from(store=store, publish_name=corpus)
    result = storage_sql.query(store_at(settings), query, corpus=settings.publish_name, timeout=timeout)
    if to is not None:
        with to.open("wb") as target:
            storage_sql.write(result, form, target)
    else:
        storage_sql.write(result, form, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="Words to look for, in any language.")],
    store: StoreOption = None,
    corpus: CorpusOption = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Results at most.")] = 5,
    use: Annotated[str, typer.Option(help="Only documents that may be used for: input, search or train.")] = "input",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find passages in the newest corpus, each with its source, time of fetching and snapshot.

    Example: thresher search "how bees find flowers" -k 3
    """
    from storage import index

    if not query.strip():
        raise BadConfig("search", repr(query), "the query is empty", "give some words")
    if use not in USES:
        raise BadConfig("search", f"--use {use}", "no such use", f"one of {', '.join(USES)}")
    settings = settings_from(store=store, publish_name=corpus)
    with Meter("index", "documents", quiet=True) as meter:
        answer = index.search(
            store_at(settings), query, k=k, use=use, corpus=settings.publish_name,
            progress=None if quiet else meter.update,
        )  # fmt: skip
    if as_json:
        emit(asdict(answer))
        return
    for hit in answer.hits:
        typer.echo(f"{hit.rank}. {hit.title or hit.url}\n   {hit.url}\n   {' '.join(hit.passage.split())}")
        typer.echo(f"   fetched {hit.fetched_at:%Y-%m-%d %H:%M} UTC, capture {hit.capture_id[:12]}\n")
    console.print(f"{len(answer.hits)} results from snapshot {answer.snapshot[:12]}")


@app.command()
def explain(
    what: Annotated[str, typer.Argument(help="A URL, or the hex of a capture, page or document id.")],
    store: StoreOption = None,
    corpus: CorpusOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the whole story of one page: lease, capture, decision, measures, reason, survivor, where it is now.

    Example: thresher explain https://example.org/
    """
    from flows.explain import explain as tell
    from flows.explain import render

    settings = settings_from(store=store, publish_name=corpus)
    story = tell(store_at(settings), what, corpus=settings.publish_name)
    if as_json:
        emit(story)
    else:
        typer.echo(render(story))


@app.command()
def verify(store: StoreOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Hash everything again, check every receipt, and lead every row of the corpus back to its capture.

    Example: thresher verify && echo "every row is accounted for"
    """
    said("verify")
    from storage.verify import verify as check

    with Meter("verify", "blobs", quiet=quiet) as meter:
        report = check(store_at(settings_from(store=store)), progress=meter.update)
        meter.finish("done")
    if as_json:
        emit(asdict(report))
    else:
        typer.echo(_report(asdict(report)))
    if report.problems:
        raise typer.Exit(1)


def _report(report: dict[str, Any]) -> str:
    problems = report.pop("problems")
    lines = [f"{name.replace('_', ' '):<28}{value:>10,}" for name, value in report.items()]
    lines += [f"problem: {problem}" for problem in problems]
    return "\n".join([*lines, "everything holds" if not problems else f"{len(problems)} problems"])


@app.command()
def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Folder to keep the store in; else it is temporary.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Crawl a small made web on this machine with two nodes, and show the whole path. Needs no network.

    Example: thresher demo --keep /tmp/demo-store
    """
    said("demo")
    from flows.demo import demo as show

    result = show(keep, echo=(lambda _: None) if as_json else typer.echo)
    if as_json:
        emit(result)
