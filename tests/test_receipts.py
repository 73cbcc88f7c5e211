"""Receipts: only what the holder of the key signed, in exactly this form, is believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from storage.canonical import dumps
from storage.errors import BadReceipt
from storage.receipts import PREFIX, LeaseUse, Receipt, encode, node_id, open_receipt
from tests.signed_store import AT, KEY, PUBLIC_KEY

RECEIPT = Receipt(
    public_key=PUBLIC_KEY,
    bundle=bytes(range(32)),
    size=12_345,
    leases=(LeaseUse("a", 1, True), LeaseUse("b", 2**53 - 1, False)),
    payloads=(bytes(32), bytes(range(32))),
    sealed_at=AT,
    agent="thresher/0.1.0 (+https://example.org/bot)",
)
DIGESTS = st.binary(min_size=32, max_size=32)


@given(
    st.builds(
        Receipt,
        public_key=st.just(PUBLIC_KEY),
        bundle=DIGESTS,
        size=st.integers(0, 2**53 - 1),
        leases=st.lists(st.builds(LeaseUse, st.text(), st.integers(0, 2**53 - 1), st.booleans())).map(tuple),
        payloads=st.lists(DIGESTS).map(tuple),
        sealed_at=st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        agent=st.text(),
    )
)
def test_what_was_signed_is_what_is_opened(receipt: Receipt) -> None:
    assert open_receipt(encode(receipt, KEY.sign)) == receipt


def test_an_envelope_is_one_canonical_form_and_signs_the_body_s_own_bytes() -> None:
    envelope = encode(RECEIPT, KEY.sign)

    assert dumps(json.loads(envelope)) == envelope
    body = json.loads(envelope)["body"].encode()
    KEY.public_key().verify(bytes.fromhex(json.loads(envelope)["signature"]), b"thresher-receipt-1\n" + body)
    assert json.loads(body)["node"] == node_id(PUBLIC_KEY).hex()


def test_every_changed_byte_is_noticed() -> None:
    envelope = encode(RECEIPT, KEY.sign)
    for place in range(len(envelope)):
        changed = envelope[:place] + bytes([envelope[place] ^ 1]) + envelope[place + 1 :]
        with pytest.raises(BadReceipt):
            open_receipt(changed)


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body | {"node": "0" * 64},
        lambda body: body | {"format": "thresher-receipt-2"},
        lambda body: body | {"more": 1},
        lambda body: {name: value for name, value in body.items() if name != "agent"},
        lambda body: body | {"bundle": body["bundle"].upper()},
        lambda body: body | {"bundle": body["bundle"][:-2]},
        lambda body: body | {"bytes": -1},
        lambda body: body | {"bytes": True},
        lambda body: body | {"bytes": "1"},
        lambda body: body | {"bytes": 1.5},
        lambda body: body | {"leases": {}},
        lambda body: body | {"leases": [{"lease": "a", "fence": 1}]},
        lambda body: body | {"leases": [{"lease": "a", "fence": 1, "done": 1}]},
        lambda body: body | {"payloads": [None]},
        lambda body: body | {"sealed_at": "yesterday"},
        lambda body: body | {"agent": None},
        lambda body: [body],
        str,
    ],
)
def test_a_body_of_another_form_is_refused_though_its_signature_is_right(change: Change) -> None:
    body = dumps(change(json.loads(json.loads(encode(RECEIPT, KEY.sign))["body"])))
    envelope = dumps({"body": body.decode(), "signature": KEY.sign(PREFIX + body).hex()})

    with pytest.raises(BadReceipt):
        open_receipt(envelope)


def test_another_key_s_signature_is_refused() -> None:
    with pytest.raises(BadReceipt, match="signature does not fit"):
        open_receipt(encode(RECEIPT, Ed25519PrivateKey.generate().sign))


def test_a_signature_for_another_purpose_is_refused() -> None:
    """The prefix is signed too: bytes that the node signed elsewhere are no receipt."""
    body = json.loads(encode(RECEIPT, KEY.sign))["body"]

    with pytest.raises(BadReceipt):
        open_receipt(dumps({"body": body, "signature": KEY.sign(body.encode()).hex()}))


def test_a_key_of_small_order_signs_for_nobody() -> None:
    weak = replace(RECEIPT, public_key=bytes([1]) + bytes(31))

    with pytest.raises(BadReceipt):
        open_receipt(encode(weak, KEY.sign))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_bad_receipt(data: bytes) -> None:
    with pytest.raises(BadReceipt):
        open_receipt(data)


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b'{"body":"{}","signature":""}', b"null", b'{"body":1}'])
def test_hostile_json_is_a_bad_receipt(data: bytes) -> None:
    with pytest.raises(BadReceipt):
        open_receipt(data)


def test_an_endless_receipt_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadReceipt, match="larger than"):
        open_receipt(b" " * ((16 << 20) + 1))
