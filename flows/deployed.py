"""The Prefect flows: the same plain functions, as what a server schedules, retries and shows.

One task per batch, never per page. Every task is idempotent by content, so a retry or a second run repeats nothing.
Only the command line's `--prefect` (or PREFECT_API_URL) and deployments load this module: importing Prefect takes 2 s.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

# Before Prefect reads its settings: no telemetry, and time for its own server to start on a small machine.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.task_runners import ThreadPoolTaskRunner

from flows import clean as cleaning
from flows import crawl as crawling
from flows import imports
from flows import publish as publishing
from flows.config import Settings, load
from flows.funnel import Funnel, funnel, render
from pipeline.policy import Policy
from pipeline.recipe import Recipe
from storage import Store, open_store

RETRIES = 2
"""Of a task that failed: a batch may meet a full disk or a bucket that is away for a moment."""


def _settings(values: dict[str, Any] | None) -> Settings:
    """The settings of a flow run: its parameters where given, else what is configured where it runs."""
    return load(values or {}).settings


def _store(settings: Settings, *, create: bool = False) -> Store:
    return open_store(settings.store, create=create)


@task(name="clean batch", retries=RETRIES, retry_delay_seconds=5)
def clean_batch(store_url: str, batch: Sequence[cleaning.Slice], workers: int) -> int:
    """One batch of slices to one shard of documents; returns the documents with text."""
    return cleaning.clean_batch(open_store(store_url), batch, Recipe(), workers=workers, at=datetime.now(UTC))


@task(name="publish corpus", retries=RETRIES, retry_delay_seconds=5)
def publish_corpus(store_url: str, policy: str, name: str) -> dict[str, Any]:
    """Apply a preset policy to all documents and commit the corpus."""
    result = publishing.publish(open_store(store_url), Recipe(), Policy.preset(policy), name=name, quiet=True)
    return asdict(result)


@flow(name="crawl")
def crawl(seeds: list[str], settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Crawl the seeds; with none, resume the crawl of that name."""
    chosen = _settings(settings)
    return asdict(crawling.crawl(_store(chosen, create=True), seeds, chosen, quiet=True))


@flow(name="clean", task_runner=cast("Any", ThreadPoolTaskRunner(max_workers=1)))
def clean(settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Clean what is not cleaned yet, a task for each batch."""
    chosen = _settings(settings)
    store, recipe = _store(chosen), Recipe()
    batches = cleaning.plan(store, recipe)
    workers = chosen.clean_workers or os.cpu_count() or 1
    futures = [clean_batch.submit(store.url, batch, workers) for batch in batches]
    documents = sum(future.result() for future in futures)
    pages = sum(piece.pages for batch in batches for piece in batch)
    return asdict(cleaning.Cleaned(cleaning.log_of(recipe), pages, documents, len(batches)))


@flow(name="publish")
def publish(settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Publish the corpus, and show the funnel beside the run."""
    chosen = _settings(settings)
    store = _store(chosen)
    result = publish_corpus(store.url, chosen.publish_policy, chosen.publish_name)
    counted: Funnel = funnel(store, corpus=chosen.publish_name)
    create_markdown_artifact(f"```\n{render(counted)}\n```", key="funnel", description="rows of every step")
    return result


@flow(name="run")
def run(
    seeds: list[str] | None = None, files: list[str] | None = None, settings: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The whole path: crawl the seeds, import the files, clean, publish."""
    chosen = _settings(settings)
    store = _store(chosen, create=True)
    imported = imports.import_files(store, [Path(name) for name in files], quiet=True) if files else None
    crawled = crawl(seeds, settings) if seeds else None
    cleaned = published = None
    if crawled is None or crawled["finished"]:
        cleaned = clean(settings)
        published = publish(settings) if store.head(cleaned["log"]) is not None else None
    return {
        "crawled": crawled,
        "imported": asdict(imported) if imported else None,
        "cleaned": cleaned,
        "published": published,
        "funnel": asdict(funnel(store, corpus=chosen.publish_name)),
    }
