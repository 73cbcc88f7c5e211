"""The frontier: what was met, what may be fetched, by whom and when; durable, and the only judge of politeness."""

from crawlers.frontier.crawls import Crawl, CrawlId, CrawlSpec
from crawlers.frontier.frontier import Frontier
from crawlers.frontier.story import Progress

__all__ = ["Crawl", "CrawlId", "CrawlSpec", "Frontier", "Progress"]
