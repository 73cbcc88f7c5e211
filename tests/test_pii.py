"""E-mail and IP addresses: what is replaced, what stays, and what is counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.pii import EMAIL, IPV4, IPV6, redact

# The cases of datatrove's test_pii_removal.py, on a domain that is not reserved.
REPLACED = [
    "email@mysite.com",
    "firstname.lastname@mysite.com",
    "email@subdomain.mysite.com",
    "firstname+lastname@mysite.com",
    "email@123.123.123.123",
    "email@[123.123.123.123]",
    "1234567890@mysite.com",
    "email@mysite-one.com",
    "_______@mysite.com",
    "email@mysite.name",
    "email@mysite.museum",
    "email@mysite.co.jp",
    "firstname-lastname@mysite.com",
    "NAME@MYSITE.COM",
    "email@mysite.web",
]
KEPT = [
    "plainaddress",
    "#@%^%#$@#$@#.com",
    "@mysite.com",
    "email.mysite.com",
    "email.@mysite.com",
    "email@mysite",
    "email@-mysite.com",
    "email@mysite..com",
    "あいうえお@mysite.com",
    "someone@example.com",
    "someone@deep.example.org",
    "someone@host.test",
]
PARTLY = {
    "Joe Smith <email@mysite.com>": f"Joe Smith <{EMAIL}>",
    "email@mysite.com (Joe Smith)": f"{EMAIL} (Joe Smith)",
    "email@mysite@mysite.com": f"email@{EMAIL}",
    ".email@mysite.com": f".{EMAIL}",
    "email..email@mysite.com": f"email..{EMAIL}",
    "Abc..123@mysite.com": f"Abc..{EMAIL}",
    "just”not”right@mysite.com": f"just”not”{EMAIL}",
    "write to a.b@c.de, or to d@e.fr.": f"write to {EMAIL}, or to {EMAIL}.",
}
PUBLIC = [
    "163.36.107.25", "114.35.103.54", "57.120.21.121", "13.83.69.70", "29.116.31.158", "193.163.229.23",
    "211.160.67.46", "4.132.211.142", "214.70.227.4", "35.88.121.75",
]  # fmt: skip
OTHER = [
    "999.999.999.999.", "108.0.0.01", "0.1.2.3", "00.0000.00.00", "192.168.l.1", "912.456.123.123", "192.168.o.0",
    "172.16.0.9", "127.0.0.2", "10.0.1.5", "10.255.255.254", "172.31.254.254", "192.168.254.0", "169.254.1.1",
    "v1.2.3.4", "1.2.3.4.5", "192.0.2.77", "255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("address", REPLACED)
def test_an_email_address_is_replaced(address: str) -> None:
    assert redact(f"Mail {address}, please") == (f"Mail {EMAIL}, please", 1, 0)


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_email_address_or_names_nobody_stays(text: str) -> None:
    assert redact(text) == (text, 0, 0)


@pytest.mark.parametrize("text", PARTLY)
def test_what_stands_around_an_address_stays(text: str) -> None:
    assert redact(text).text == PARTLY[text]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_replaced(address: str) -> None:
    assert redact(f"from {address}:") == (f"from {IPV4}:", 0, 1)


@pytest.mark.parametrize("text", OTHER)
def test_other_numbers_and_private_addresses_stay(text: str) -> None:
    assert redact(f"at {text} it") == (f"at {text} it", 0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dns 2606:4700:4700::1111 answers", (f"dns {IPV6} answers", 0, 1)),
        ("dns 2001:4860:4860:0:0:0:0:8888.", (f"dns {IPV6}.", 0, 1)),
        ("[2a00:1450:4001:82a::200e]:443", (f"[{IPV6}]:443", 0, 1)),
        ("local ::1 fe80::1 fc00::1", ("local ::1 fe80::1 fc00::1", 0, 0)),
        ("docs 2001:db8::5", ("docs 2001:db8::5", 0, 0)),
        ("std::vector a::b dead::beef 12:30:45 ::", ("std::vector a::b dead::beef 12:30:45 ::", 0, 0)),
        ("00:1b:44:11:3a:b7 is a card", ("00:1b:44:11:3a:b7 is a card", 0, 0)),
    ],
)
def test_addresses_of_version_6(text: str, expected: tuple[str, int, int]) -> None:
    assert redact(text) == expected


PIECES = ["a", "b@c.de", ".", "@", "8.8.8.8", "2606:4700::1", ":", " ", "é", "-", EMAIL, IPV4, IPV6, "x.y@z.co.uk", "1"]


@example(text="2606:4700::18.8.8.8")
@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_replacing_twice_is_replacing_once(text: str) -> None:
    once = redact(text)

    assert redact(once.text) == (once.text, 0, 0)


@given(st.text(st.characters(exclude_characters="@:.")))
def test_a_text_without_addresses_stays(text: str) -> None:
    assert redact(text) == (text, 0, 0)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["a." * 100_000 + "@", "a@" * 100_000, "1.1.1." * 100_000, "a:" * 100_000, "a" * 300_000, "a-" * 99_999 + "@b-"],
)
def test_hostile_text_takes_no_longer_than_other_text(text: str) -> None:
    assert redact(text) == (text, 0, 0)


def test_labelled_addresses_are_found_and_little_else(corpus: Path) -> None:
    with gzip.open(corpus / "pii" / "presidio-synth.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    kinds = {"EMAIL_ADDRESS": 0, "IP_ADDRESS": 0}
    for row in rows:
        for span in row["spans"]:
            if span["type"] in kinds:
                kinds[span["type"]] += 1

    found = [redact(row["text"]) for row in rows]

    assert (kinds["EMAIL_ADDRESS"], kinds["IP_ADDRESS"]) == (28, 5)
    assert sum(one.emails for one in found) == 28
    assert 4 <= sum(one.ips for one in found) <= 5
