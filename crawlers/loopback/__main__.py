"""`python -m crawlers.loopback`: the made web, until standard input closes."""

import asyncio

from crawlers.loopback.server import serve

asyncio.run(serve())
