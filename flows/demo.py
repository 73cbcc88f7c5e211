"""The whole path on a made web of eight hosts on this machine: two nodes, no network, under a minute."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from crawlers.loopback import running
from crawlers.loopback.sites import SEEDS
from flows.config import Settings
from flows.funnel import render
from flows.run import run
from storage import Store, index, open_store, sql
from storage.dataset import Reader
from storage.errors import BadConfig
from storage.verify import verify

SQL: Final = (
    "SELECT lang, count(*) AS documents, sum(gopher_words)::BIGINT AS words, round(avg(cluster_size), 2) AS copies\n"
    "FROM corpus GROUP BY lang ORDER BY documents DESC, lang"
)
QUESTION: Final = "how do bees find flowers"
AGENT: Final = "thresher-demo/0.1 (+http://127.0.0.1/)"
NEXT: Final = (
    'thresher run https://example.org/ --store web --pages 100 --user-agent "yourname/1.0 (+https://you.example/bot)"',
    'thresher sql --store web "SELECT reason, count(*) FROM removals GROUP BY reason"',
    'thresher search --store web "what you want to know"',
)


def demo(keep: Path | None, *, echo: Callable[[str], Any]) -> dict[str, Any]:
    """Run the demo in `keep` (which must not exist yet), or in a folder that is removed afterwards.

    Everything that it starts stops before it returns. Returns what was shown, as plain values.
    """
    if keep is not None and keep.exists():
        raise BadConfig("demo", str(keep), "is there already", "name a folder that does not exist")
    started = time.perf_counter()
    folder = keep or Path(tempfile.mkdtemp(prefix="thresher-demo-")) / "store"
    with ExitStack() as stack:
        if keep is None:
            stack.callback(shutil.rmtree, folder.parent)
        address = stack.enter_context(running())
        echo(f"a made web of {len(SEEDS)} hosts answers at {address}; two nodes crawl it\n")
        store = open_store(str(folder), create=True)
        ran = run(store, _settings(folder, address), seeds=SEEDS)
        echo(f"\nthe funnel\n{render(ran.funnel)}\n")
        shown: dict[str, Any] = {"run": ran.as_json(), "sql": _sql(store, echo), "batch": _batch(store, echo)}
        shown |= {"search": _search(store, echo), "verify": _verify(store, echo)}
    seconds = time.perf_counter() - started
    shown |= {"seconds": round(seconds, 1), "store": str(keep) if keep else None}
    echo(f"all of it took {seconds:.0f} s" + (f"; the store is {keep}" if keep else ""))
    echo("\nthe same on the real web:\n" + "\n".join(f"  {command}" for command in NEXT))
    return shown


def _settings(folder: Path, address: str) -> Settings:
    return Settings(
        store=str(folder),
        crawl_name="demo",
        crawl_pages=0,
        crawl_depth=50,
        crawl_delay=0.02,
        crawl_nodes=2,
        crawl_concurrency=8,
        crawl_user_agent=AGENT,
        crawl_connect_to=address,
        crawl_allow_private=True,
        clean_workers=os.cpu_count() or 1,
    )


def _sql(store: Store, echo: Callable[[str], Any]) -> list[dict[str, Any]]:
    table = sql.query(store, SQL)
    echo(f"one query\n{SQL}")
    for row in table.to_pylist():
        echo("  " + "  ".join(f"{name} {value}" for name, value in row.items()))
    return list(table.to_pylist())


def _batch(store: Store, echo: Callable[[str], Any]) -> dict[str, Any]:
    reader = Reader(store, use="train", seed=1, rank=0, world=2, batch_rows=16, columns=("url", "text"))
    batch = next(iter(reader))
    characters = sum(len(text) for text in batch["text"].to_pylist())
    shown = {"rows": batch.num_rows, "characters": characters, "first": batch["url"][0].as_py()}
    echo(f"\none training batch of rank 0 of 2: {shown['rows']} documents, {characters:,} characters")
    return shown


def _search(store: Store, echo: Callable[[str], Any]) -> list[dict[str, Any]]:
    answer = index.search(store, QUESTION, k=1)
    echo(f"\none search: {QUESTION}")
    for hit in answer.hits:
        echo(f"  {hit.rank}. {hit.title}  {hit.url}\n     {' '.join(hit.passage.split())}")
    return [asdict(hit) for hit in answer.hits]


def _verify(store: Store, echo: Callable[[str], Any]) -> dict[str, Any]:
    report = asdict(verify(store))
    problems = len(report["problems"])
    facts = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in report.items() if name != "problems")
    echo(f"\nverify: {facts}; " + ("everything holds" if not problems else f"{problems} problems") + "\n")
    return report
