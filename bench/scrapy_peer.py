"""Scrapy as it would be used for this work: `python -m bench.scrapy_peer RESULT.json USER_AGENT SEED...`.

Settings are those of its own page on broad crawls, with no delay. It may use its default of eight connections a host,
where ours uses one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor
from scrapy.resolver import dnscache

SETTINGS: dict[str, Any] = {
    "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
    "CONCURRENT_REQUESTS": 100,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
    "DOWNLOAD_DELAY": 0,
    "REACTOR_THREADPOOL_MAXSIZE": 20,
    "LOG_LEVEL": "ERROR",
    "COOKIES_ENABLED": False,
    "RETRY_ENABLED": False,
    "DOWNLOAD_TIMEOUT": 15,
    "REDIRECT_ENABLED": True,
    "AJAXCRAWL_ENABLED": False,
    "ROBOTSTXT_OBEY": True,
    "TELNETCONSOLE_ENABLED": False,
}


class Follow(scrapy.Spider):
    """Follows every link within the hosts of the seeds and counts the HTML pages."""

    name = "follow"

    def __init__(self, seeds: list[str], target: str) -> None:
        super().__init__()
        self.start_urls = seeds
        self.allowed_domains = sorted({urlsplit(seed).hostname or "" for seed in seeds})
        self.target = Path(target)
        self.pages = 0
        self.links = LinkExtractor()

    def parse(self, response: Any, **_: Any) -> Iterator[Any]:
        if not isinstance(response, scrapy.http.HtmlResponse):
            return
        self.pages += 1
        for link in self.links.extract_links(response):
            yield scrapy.Request(link.url)

    def closed(self, reason: str) -> None:
        self.target.write_text(json.dumps({"pages": self.pages, "reason": reason}))


def main() -> None:
    target, agent, *seeds = sys.argv[1:]
    for seed in seeds:
        dnscache[urlsplit(seed).hostname] = "127.0.0.1"
    process = CrawlerProcess({**SETTINGS, "USER_AGENT": agent})
    process.crawl(Follow, seeds=seeds, target=target)
    process.start()


if __name__ == "__main__":
    main()
