"""One contract for every backend, and the blobs and places of a store."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import Store, open_store
from storage.backend import Backend
from storage.errors import AlreadyExists, BlobMissing, Corrupt, NotAStore, NotFound, StoreFull
from storage.local import LocalBackend

ROOT = Path(__file__).parents[1]
_numbers = iter(range(10**6))


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else f"memory://store-{next(_numbers)}"


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url, create=True)


@pytest.fixture
def backend(store: Store) -> Backend:
    return store.backend


# the contract of a backend


def test_what_was_put_is_read_whole_or_in_ranges(backend: Backend) -> None:
    backend.put("a/b/name", iter([b"some ", b"bytes"]))

    assert backend.read("a/b/name") == b"some bytes"
    assert backend.read("a/b/name", 5) == b"bytes"
    assert backend.read("a/b/name", 5, 2) == b"by"
    assert backend.read("a/b/name", 5, 100) == b"bytes"
    assert backend.read("a/b/name", 10, 5) == b""
    assert backend.read("a/b/name", 11) == b""
    assert backend.read("a/b/name", 3, 0) == b""


def test_an_empty_object_is_an_object(backend: Backend) -> None:
    backend.put("empty", [])

    assert backend.exists("empty")
    assert backend.read("empty") == b""


def test_putting_again_leaves_what_is_there(backend: Backend) -> None:
    backend.put("name", [b"first"])
    backend.put("name", [b"second"])

    assert backend.read("name") == b"first"


def test_a_put_whose_bytes_fail_leaves_nothing(backend: Backend) -> None:
    def failing() -> Iterator[bytes]:
        yield b"x" * 100
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        backend.put("folder/name", failing())

    assert not backend.exists("folder/name")
    assert backend.list("folder") == []


def test_a_name_is_created_once(backend: Backend) -> None:
    backend.create("logs/a", b"mine")

    with pytest.raises(AlreadyExists):
        backend.create("logs/a", b"yours")
    assert backend.read("logs/a") == b"mine"


def test_of_many_creators_exactly_one_wins(backend: Backend) -> None:
    start = threading.Barrier(16)
    won: list[int] = []

    def create(number: int) -> None:
        start.wait()
        try:
            backend.create("logs/raced", str(number).encode())
            won.append(number)
        except AlreadyExists:
            pass

    threads = [threading.Thread(target=create, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert backend.read("logs/raced") == str(won[0]).encode()


def test_what_is_not_there_is_not_found(backend: Backend) -> None:
    backend.put("folder/name", [b""])

    for name in ("nothing", "folder", "folder/name/below"):
        assert not backend.exists(name)
        with pytest.raises(NotFound):
            backend.read(name)
        with pytest.raises(NotFound):
            backend.read(name, 1, 1)
    assert backend.list("nothing") == []


def test_a_folder_lists_its_own_entries_sorted(backend: Backend) -> None:
    for name in ("f/b", "f/a", "f/c/d", "g"):
        backend.put(name, [b""])

    assert backend.list("f") == ["a", "b", "c"]


# blobs


def test_a_blob_is_named_by_its_hash(store: Store) -> None:
    digest = store.put_blob(b"page", "warc.gz")

    assert digest == hashlib.sha256(b"page").hexdigest()
    assert store.has_blob(digest, "warc.gz")
    assert not store.has_blob(digest, "json")
    assert store.read_blob(digest, "warc.gz", 1, 2) == b"ag"
    assert Path(store.blob_location(digest, "warc.gz")).read_bytes() == b"page"
    assert Path(store.blob_location(digest, "warc.gz")).name == f"{digest}.warc.gz"
    assert store.put_blob(b"page", "warc.gz") == digest


def test_a_file_is_copied_in_and_its_digest_compared(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"ab" * (3 << 20))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    with pytest.raises(Corrupt):
        store.put_file(path, "warc.gz", digest="0" * 64)
    assert not store.has_blob("0" * 64, "warc.gz")
    assert store.put_file(path, "warc.gz", digest=digest) == digest
    assert store.put_file(path, "warc.gz") == digest
    assert path.exists()
    assert store.read_blob(digest, "warc.gz") == path.read_bytes()


def test_a_missing_blob_says_so(store: Store) -> None:
    with pytest.raises(BlobMissing, match="0000"):
        store.read_blob("0" * 64, "parquet")


@pytest.mark.parametrize(("digest", "suffix"), [("../../etc/passwd", "json"), ("A" * 64, "json"), ("0" * 64, "txt")])
def test_only_blobs_can_be_named(store: Store, digest: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="no name of a blob"):
        store.read_blob(digest, suffix)


def test_two_spellings_of_a_place_are_one_store(url: str) -> None:
    digest = open_store(url, create=True).put_blob(b"x", "json")
    again = open_store(Path(url).as_uri() if "://" not in url else url + "/")

    assert again.has_blob(digest, "json")
    assert again.url == open_store(url).url


# what is a store


def test_a_place_without_a_store_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (tmp_path / "absent", tmp_path, file):
        with pytest.raises(NotAStore) as caught:
            open_store(str(place))
        assert caught.value.hint
    with pytest.raises(NotAStore):
        open_store("memory://nobody-made-this")
    with pytest.raises(NotAStore, match="scheme"):
        open_store("ftp://example.org/store")


def test_a_folder_that_can_not_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(NotAStore) as caught:
        open_store(str(tmp_path / "file" / "store"), create=True)
    assert caught.value.hint


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")

    with pytest.raises(NotAStore, match="letter"):
        open_store(str(tmp_path), create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_empty_folder_and_a_store_can_be_created(tmp_path: Path) -> None:
    for _ in range(2):
        open_store(str(tmp_path), create=True)
    open_store(str(tmp_path))
    (tmp_path / "notes.txt").write_text("a reader's own file beside the store")
    open_store(str(tmp_path), create=True)

    assert (tmp_path / "blobs").is_dir()


def test_the_state_folder_of_a_local_store_is_inside_and_nobody_else_s(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True)

    assert store.state_dir == tmp_path / "store" / ".thresher"
    assert store.state_dir.stat().st_mode & 0o777 == 0o700


def test_a_memory_store_s_state_ends_with_it() -> None:
    states = [open_store(f"memory://state-{name}", create=True).state_dir for name in "ab"]

    assert all(state.is_dir() for state in states)
    assert len(set(states)) == 2


def test_importing_the_room_imports_nothing_heavy() -> None:
    heavy = "pyarrow numpy duckdb obstore tantivy fastwarc cryptography"
    program = f"import sys, storage; print([name for name in '{heavy}'.split() if name in sys.modules])"

    assert (
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


# the disk


def test_temporary_files_of_a_killed_writer_are_never_seen(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), create=True)
    digest = store.put_blob(b"x", "json")
    folder = Path(store.blob_location(digest, "json")).parent
    (folder / f".{'0' * 64}.json.123").write_bytes(b"half")
    (tmp_path / "logs" / "captures").mkdir(parents=True)
    (tmp_path / "logs" / "captures" / ".00000000000000000001.json.9").write_bytes(b"half")

    assert store.backend.list(f"blobs/sha256/{digest[:2]}") == [f"{digest}.json"]
    assert store.head("captures") is None
    assert store.logs() == []


def test_a_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.put("folder/a", [b"x"])
    backend.create("folder/b", b"x")
    with pytest.raises(AlreadyExists):
        backend.create("folder/b", b"y")

    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["a", "b"]


FULL = """
import resource, sys
from storage import open_store
from storage.errors import StoreFull
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
kept = store.put_blob(b"small", "json")
try:
    store.put_blob(bytes(2 << 20), "json")
except StoreFull as error:
    print(kept, error)
"""


def test_no_room_is_a_clear_error_and_what_was_written_before_stays(tmp_path: Path) -> None:
    """A limit on the size of files fails a write in its middle, as a full disk does."""
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] not in (resource.RLIM_INFINITY, 1 << 20):
        pytest.skip("the size of files is limited already")
    store = open_store(str(tmp_path), create=True)

    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)

    kept, _, said = done.stdout.partition(" ")
    assert "no room" in said
    assert store.read_blob(kept, "json") == b"small"
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_every_way_of_being_full_is_recognised(tmp_path: Path, number: int) -> None:
    def full() -> Iterator[bytes]:
        yield b"x"
        raise OSError(number, os.strerror(number))

    with pytest.raises(StoreFull, match="nothing acknowledged was lost"):
        LocalBackend(tmp_path).put("name", full())
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from storage import open_store
store = open_store(sys.argv[1])
for number in range(10**6):
    print(store.put_blob(b"%d " % number * 2000, "json"), flush=True)
"""


def test_a_writer_that_is_killed_has_written_all_that_it_acknowledged(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), create=True)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        first = [writer.stdout.readline().strip() for _ in range(50)]
        writer.kill()
        acknowledged = first + [line.strip() for line in writer.stdout if line.endswith("\n")]

    for digest in acknowledged:
        assert hashlib.sha256(store.read_blob(digest, "json")).hexdigest() == digest
    for path in (tmp_path / "blobs").rglob("*.json"):
        if not path.name.startswith("."):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.removesuffix(".json")
