"""What a node has fetched lies in its spool until it is answered for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from crawlers.spool import Spool


def test_saved_bundles_are_found_again_until_they_are_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.save("aa", b"bundle a", b"receipt a")
    spool.save("bb", b"bundle b", b"receipt b")
    spool.forget("aa")

    assert list(Spool(tmp_path / "spool").unsent()) == [("bb", b"bundle b", b"receipt b")]
    spool.forget("bb")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_bundle_without_its_receipt_was_never_saved(tmp_path: Path) -> None:
    """Killed between the two files: what is left behind is not sent, and not mistaken for something whole."""
    code = (
        "import os, sys; from pathlib import Path; from crawlers import spool\n"
        "first = spool._write\n"
        "def write(path, data):\n"
        "    if path.name.endswith('.receipt.json'): os._exit(9)\n"
        "    first(path, data)\n"
        "spool._write = write\n"
        "spool.Spool(Path(sys.argv[1])).save('aa', b'bundle', b'receipt')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=False, cwd=Path(__file__).parents[1])

    assert done.returncode == 9
    assert (tmp_path / "aa.warc.gz").read_bytes() == b"bundle"
    assert list(Spool(tmp_path).unsent()) == []


def test_a_refused_bundle_is_kept_for_who_looks_into_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.save("aa", b"bundle", b"receipt")

    where = spool.set_aside("aa")

    assert list(spool.unsent()) == []
    assert sorted(path.name for path in where.iterdir()) == ["aa.receipt.json", "aa.warc.gz"]
