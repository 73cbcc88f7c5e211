"""Links of a page, and the child that reads bundles: a hostile page costs its own links and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.bundle import BundleWriter
from crawlers.child import Child, Limits, Unreadable, _timed
from crawlers.exchange import Exchange
from crawlers.links import MAX_LINKS, extract
from crawlers.unpack import links_of, unpack
from storage.errors import BadBundle, Corrupt
from storage.ids import digest

URL = "http://h.test/d/page"
AGENT = "thresher/0.1 (+http://x.test/)"


def links(html: str | bytes, charset: str | None = None) -> list[str]:
    data = html.encode() if isinstance(html, str) else html
    return [link.removeprefix("http://h.test") for link in extract(data, URL, charset, AGENT)]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="x">', ["/d/x"]),
        ("<a href=/x#y><A HREF=/x>", ["/x"]),
        ('<a href=" ./x\n">', ["/d/x"]),
        ("<a href=?q=1><a href=''><a href=#top><a href=page>", ["/d/page?q=1"]),
        ("<a href=//other.test/a><a href=https:///b>", ["http://other.test/a", "https://b/"]),
        ("<map><area href=z></map>", ["/d/z"]),
        ("<a href=mailto:a@b><a href=javascript:x()><a href=ftp://h/><a href='http://['><a>", []),
        ("<a href=b><a href=a><a href=b>", ["/d/b", "/d/a"]),
        ("<base href=/e/><base href=/f/><a href=x>", ["/e/x"]),
        ("<base href=http://[><a href=x>", ["/d/x"]),
        ("<base href=data:text/html,x><a href=x>", ["/d/x"]),
        ("<a rel='noopener NoFollow' href=x><a rel=noopener href=y>", ["/d/y"]),
        ("<meta name=robots content='noindex, nofollow'><a href=x>", []),
        ("<meta name=ROBOTS content=none><a href=x>", []),
        ("<meta name=Thresher content=nofollow><a href=x>", []),
        ("<meta name=otherbot content=nofollow><a href=x>", ["/d/x"]),
        ("<a href=&#x2f;x&amp;y>", ["/x&y"]),
        ("<!-- <a href=x> --><script>'<a href=y>'</script><template><a href=t></template>", []),
        ("<link rel=next href=x><img src=y><iframe src=z></iframe>", []),
        ("not html at all", []),
        ("", []),
    ],
)
def test_the_links_of_a_page(html: str, expected: list[str]) -> None:
    assert links(html) == expected


def test_a_reference_outside_ascii_is_read_in_the_encoding_of_the_page() -> None:
    html = '<meta charset="windows-1251"><a href="/путь?q=путь">'.encode("cp1251")

    assert links(html) == ["/%D0%BF%D1%83%D1%82%D1%8C?q=%EF%F3%F2%FC"]
    assert links('<a href="/ü?q=ü">') == ["/%C3%BC?q=%C3%BC"]
    assert links('<a href="/ü?q=ü">'.encode("latin-1"), "iso-8859-1") == ["/%C3%BC?q=%FC"]


def test_only_so_many_links_are_taken() -> None:
    assert len(links("".join(f"<a href=/{n}>" for n in range(MAX_LINKS + 50)))) == MAX_LINKS


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=500), st.sampled_from([None, "utf-8", "shift_jis", "nonsense"]))
def test_no_bytes_break_it(data: bytes, charset: str | None) -> None:
    extract(b"<a href='" + data + b"'>" + data, URL, charset, AGENT)


def exchange(path: str, body: bytes, **more: object) -> Exchange:
    given_: dict[str, object] = {
        "headers": (("Content-Type", "text/html; charset=utf-8"),),
        "status": 200,
        "request_headers": (("Host", "h.test"),),
        "outcome": "ok",
        **more,
    }
    return Exchange(f"http://h.test{path}", "page", 1_800_000_000.0, 12, body=body, **given_)  # type: ignore[arg-type]


def bundle(*exchanges: Exchange) -> bytes:
    writer = BundleWriter(AGENT)
    for each in exchanges:
        writer.add("lease-1", each)
    return writer.seal().data


def test_a_bundle_is_unpacked_into_what_we_found_ourselves() -> None:
    headers = (
        ("Content-Type", "text/html; charset=UTF-8"),
        ("ETag", '"1"'),
        ("X-Robots-Tag", "noai"),
        ("X-Robots-Tag", "noindex"),
    )
    page, moved, failed = unpack(
        bundle(
            exchange("/a", b"<a href=b>", headers=headers),
            exchange("/m", b"", status=301, headers=(("Location", "../x"),), outcome="redirect"),
            exchange("/f", b"", status=None, headers=(), outcome="timeout", error="slow"),
        ),
        AGENT,
    )

    assert (page.url, page.lease, page.kind, page.elapsed_ms) == ("http://h.test/a", "lease-1", "page", 12)
    assert (page.outcome, page.status, page.mime, page.charset) == ("ok", 200, "text/html", "utf-8")
    assert page.etag == '"1"'
    assert page.x_robots_tag == ("noai", "noindex")
    assert page.payload == digest(b"<a href=b>")
    assert page.links == ("http://h.test/b",)
    assert (moved.outcome, moved.redirect_to, moved.links) == ("redirect", "http://h.test/x", ())
    assert (failed.outcome, failed.status, failed.payload) == ("timeout", None, None)


def test_links_that_nobody_should_follow_are_not_read() -> None:
    (found,) = unpack(bundle(exchange("/a", b"<a href=b>", headers=(("X-Robots-Tag", "nofollow"),))), AGENT)

    assert found.links == ()
    assert not found.may_have_links


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b"X-Thresher-Lease: lease-1", b"X-Thresher-Leash: lease-1", BadBundle),
        (b"X-Thresher-Kind: page", b"X-Thresher-Kind: cake", BadBundle),
        (b"WARC-Type: response", b"WARC-Type: resource", BadBundle),
        (b"<a href=b>", b"<a href=c>", Corrupt),
        (b"HTTP/1.1 200", b"HTTP/1.1 2zz", BadBundle),
    ],
)
def test_a_bundle_in_another_form_is_refused(old: bytes, new: bytes, error: type[Exception]) -> None:
    from isal import igzip

    raw = igzip.decompress(bundle(exchange("/a", b"<a href=b>")))
    assert raw.count(old) == 1
    changed = raw.replace(old, new)
    packed = b"".join(igzip.compress(b"WARC/1.1\r\n" + part) for part in changed.split(b"WARC/1.1\r\n")[1:])

    with pytest.raises(error):
        unpack(packed, AGENT)


@pytest.mark.parametrize("said", ['{"outcome": "ok"}', '{"outcome": ["timeout"]}', "[]", "no json", "[" * 100_000])
def test_a_failure_that_there_is_not_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawlers.bundle._failure", lambda _: said.encode())

    with pytest.raises(BadBundle):
        unpack(bundle(exchange("/f", b"", status=None, headers=(), outcome="timeout")), AGENT)


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"WARC/1.1\r\n", b"x" * 1000])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(BadBundle):
        unpack(data, AGENT)


def test_one_record_alone_gives_the_same_links() -> None:
    data = bundle(exchange("/a", b"<a href=b>"), exchange("/c", b"<a href=d>"))
    found = unpack(data, AGENT)

    for each in found:
        assert links_of(data[each.offset : each.offset + each.length], AGENT) == each.links != ()


HOSTILE = b"<a " + b" ".join(b"x%d=1" % n for n in range(100_000)) + b" href=x>"
"""Takes a quarter of a minute: the parser looks for each attribute among all that came before."""


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child(limits=Limits(bundle=1.0, page=0.3))
    yield made
    made.close()


def test_a_hostile_page_costs_its_own_links_and_nothing_else(child: Child) -> None:
    data = bundle(exchange("/a", b"<a href=b>"), exchange("/hostile", HOSTILE), exchange("/c", b"<a href=d>"))
    started = time.monotonic()

    found = asyncio.run(child.unpack(data, AGENT))

    assert [each.links for each in found] == [("http://h.test/b",), (), ("http://h.test/d",)]
    assert found[1].payload == digest(HOSTILE)
    assert time.monotonic() - started < 10


def test_a_child_that_was_killed_is_followed_by_another(child: Child) -> None:
    async def both() -> tuple[object, object]:
        first = await child.unpack(bundle(exchange("/hostile", HOSTILE)), AGENT)
        return first[0].links, (await child.unpack(bundle(exchange("/a", b"<a href=b>")), AGENT))[0].links

    assert asyncio.run(both()) == ((), ("http://h.test/b",))


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError])
def test_a_parser_that_gives_up_is_no_error_of_ours_nor_of_the_pool(error: type[Exception]) -> None:
    def give_up() -> None:
        raise error

    with pytest.raises(Unreadable):
        _timed(5.0, give_up)


def test_errors_of_the_child_are_ours(child: Child) -> None:
    with pytest.raises(BadBundle):
        asyncio.run(child.unpack(b"no bundle", AGENT))
