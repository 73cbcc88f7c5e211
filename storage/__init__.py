"""Where everything is kept: blobs, shards, snapshots, and every way to read them. README.md specifies the format."""

from storage.store import Commit, Shard, Snapshot, Store, TableState, open_store

__all__ = ["Commit", "Shard", "Snapshot", "Store", "TableState", "open_store"]
