"""From bytes to characters: what pages declare, what they are, and what happens when the two differ."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode import decode

TEXTS = {
    "cp1251": "Это обычный русский текст, который не объявил свою кодировку. ",
    "koi8_r": "Это обычный русский текст, который не объявил свою кодировку. ",
    "cp932": "これは普通の日本語の文章です。文字コードを宣言していません。",
    "euc_jp": "これは普通の日本語の文章です。文字コードを宣言していません。",
    "gb18030": "这是一段普通的中文文字，没有声明编码，所以必须自己判断。",
    "big5hkscs": "這是一段普通的中文文字，沒有宣告編碼，所以必須自己判斷。",
    "cp949": "이것은 평범한 한국어 문장입니다. 인코딩을 선언하지 않았습니다. ",
    "cp1253": "Αυτό είναι ένα απλό ελληνικό κείμενο χωρίς δήλωση κωδικοποίησης. ",
    "cp1255": "זהו טקסט רגיל בעברית שלא הצהיר על הקידוד שלו, ולכן צריך לנחש. ",
}
LABELS = {
    "windows-1251": "cp1251", "koi8-r": "koi8_r", "Shift_JIS": "cp932", "EUC-JP": "euc_jp", "gb2312": "gb18030",
    "GBK": "gb18030", "big5": "big5hkscs", "ks_c_5601-1987": "cp949", "windows-1253": "cp1253",
}  # fmt: skip


def page(text: str, head: str = "") -> str:
    return f"<html><head>{head}<title>t</title></head><body><p>{text * 5}</p></body></html>"


@pytest.mark.parametrize("label", LABELS)
def test_a_meta_charset_is_read_as_browsers_do(label: str) -> None:
    codec = LABELS[label]
    for head in (f"<meta charset={label}>", f'<META http-equiv=Content-Type content="text/html; charset={label}">'):
        source = page(TEXTS[codec], head)

        assert decode(source.encode(codec)) == (source, codec)


@pytest.mark.parametrize("label", LABELS)
def test_http_comes_before_meta(label: str) -> None:
    codec = LABELS[label]
    source = page(TEXTS[codec], "<meta charset=windows-1256>")

    assert decode(source.encode(codec), label) == (source, codec)


@pytest.mark.parametrize("codec", TEXTS)
def test_an_undeclared_encoding_is_detected(codec: str) -> None:
    source = page(TEXTS[codec])

    assert decode(source.encode(codec)).text == source


@pytest.mark.parametrize("codec", TEXTS)
def test_a_page_that_wrongly_says_utf8_is_read_nevertheless(codec: str) -> None:
    source = page(TEXTS[codec])

    assert decode(source.encode(codec), "utf-8").text == source


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "gbk", "shift_jis", "nonsense", None])
def test_what_is_utf8_is_read_as_utf8_whatever_it_says(charset: str | None) -> None:
    source = page("Ça c’est du français, 日本語, русский. ", '<meta charset="latin1">')

    assert decode(source.encode(), charset) == (source, "utf-8")


@pytest.mark.parametrize(
    ("mark", "codec"),
    [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_a_byte_order_mark_wins_and_goes(mark: bytes, codec: str) -> None:
    source = page("naïve 日本語")

    assert decode(mark + source.encode(codec), "windows-1252") == (source, codec)


def test_utf16_by_http_and_iso_2022_jp_by_meta() -> None:
    source = page("ありがとう", "<meta charset=iso-2022-jp>")

    assert decode(source.encode("utf-16-le"), "utf-16le").text == source
    assert decode(source.encode("iso2022_jp")) == (source, "iso2022_jp")


def test_latin1_means_windows_1252() -> None:
    assert decode("“quoted” €5 – über".encode("cp1252"), "ISO-8859-1") == ("“quoted” €5 – über", "cp1252")


def test_one_broken_character_does_not_cost_the_page_its_encoding() -> None:
    source = page("Größe und Übermut, schön. ")
    broken = source.encode().replace("schön".encode(), b"sch\xf6n", 1)

    found = decode(broken, "utf-8")

    assert found.encoding == "utf-8"
    assert found.text.replace("\ufffd", "ö") == source


@given(st.text(min_size=1), st.integers(1, 3))
def test_a_character_cut_off_at_the_end_is_forgiven(text: str, cut: int) -> None:
    whole = (text + "漢").encode()

    assert decode(whole[:-cut], "utf-8").text.startswith(text.removeprefix("\ufeff"))


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "shift_jis", "utf-16", "x"]))
def test_any_bytes_become_text(data: bytes, charset: str | None) -> None:
    decode(data, charset).text.encode("utf-8", "surrogatepass")
