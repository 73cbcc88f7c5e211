"""The whole path in one call: seeds and WARC files in, a published corpus out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.clean import Cleaned, clean
from flows.config import Settings
from flows.crawl import Crawled, crawl
from flows.funnel import Funnel, funnel
from flows.imports import Imported, import_files
from flows.publish import Published, publish
from pipeline.policy import Policy
from pipeline.recipe import Recipe
from storage import Store


@dataclass(frozen=True, slots=True)
class Ran:
    """What each step of `run` did; None for a step that had nothing to begin with."""

    crawled: Crawled | None
    imported: Imported | None
    cleaned: Cleaned | None
    published: Published | None
    funnel: Funnel

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run(
    store: Store,
    settings: Settings,
    *,
    seeds: Sequence[str] = (),
    files: Sequence[Path] = (),
    quiet: bool = False,
) -> Ran:
    """Crawl the seeds, import the files, clean and publish. A crawl that was stopped is not cleaned."""
    policy = Policy.preset(settings.publish_policy)  # a wrong name is said before any work
    imported = import_files(store, files, quiet=quiet) if files else None
    crawled = crawl(store, seeds, settings, quiet=quiet) if seeds else None
    if crawled is not None and not crawled.finished:
        return Ran(crawled, imported, None, None, funnel(store))
    recipe = Recipe()
    cleaned = clean(store, recipe, workers=settings.clean_workers, quiet=quiet)
    published = None
    if store.head(cleaned.log) is not None:
        published = publish(store, recipe, policy, name=settings.publish_name, quiet=quiet)
    return Ran(crawled, imported, cleaned, published, funnel(store, corpus=settings.publish_name))
