"""Settings: defaults, file, environment, flags; later wins, and each value knows where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.config import Settings, load
from storage.errors import BadConfig


def test_defaults_hold_where_nothing_is_said(tmp_path: Path) -> None:
    found = load(environ={}, folder=tmp_path)

    assert found.settings == Settings()
    assert set(found.sources.values()) == {"default"}


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "thresher.toml").write_text('store = "from-file"\n[crawl]\npages = 7\ndepth = 2\ndelay = 1\n')
    environ = {"THRESHER_CRAWL_PAGES": "8", "THRESHER_CRAWL_DEPTH": "3"}

    found = load({"crawl_pages": 9, "crawl_scope": None}, environ=environ, folder=tmp_path)

    assert (found.settings.crawl_pages, found.sources["crawl_pages"]) == (9, "flag")
    assert (found.settings.crawl_depth, found.sources["crawl_depth"]) == (3, "THRESHER_CRAWL_DEPTH")
    assert (found.settings.crawl_delay, found.sources["crawl_delay"]) == (1.0, "thresher.toml")
    assert (found.settings.store, found.sources["store"]) == ("from-file", "thresher.toml")
    assert found.sources["crawl_scope"] == "default"


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("[crawl]\npagez = 1\n", {}, "did you mean crawl.pages?"),
        ("crawl = [\n", {}, "it must be TOML"),
        ('[crawl]\npages = "many"\n', {}, "'many' from thresher.toml is not a whole number"),
        ("[crawl]\npages = true\n", {}, "True from thresher.toml is not a whole number"),
        ("", {"THRESHER_CRAWL_PAGES": "-1"}, "is negative"),
        ("", {"THRESHER_CRAWL_DELAY": "nan"}, "is negative"),
        ("", {"THRESHER_CRAWL_SCOPE": "world"}, "one of host, site, any"),
        ("", {"THRESHER_CRAWL_ALLOW_PRIVATE": "maybe"}, "is not true or false"),
        ("", {"THRESHER_PAGES": "1"}, "there is no setting"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_place(
    tmp_path: Path, text: str, environ: dict[str, str], words: str
) -> None:
    (tmp_path / "thresher.toml").write_text(text)

    with pytest.raises(BadConfig) as caught:
        load(environ=environ, folder=tmp_path)

    assert words in str(caught.value)


def test_settings_of_the_test_suite_are_none_of_ours(tmp_path: Path) -> None:
    assert load(environ={"THRESHER_TEST_CORPUS": "/x"}, folder=tmp_path).settings == Settings()
