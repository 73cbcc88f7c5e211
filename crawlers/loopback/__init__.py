"""A web on 127.0.0.1 that the demo, the tests and the benchmarks share: many hosts behind one port."""

from crawlers.loopback.server import requests, running

__all__ = ["requests", "running"]
