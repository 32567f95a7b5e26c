"""The only writer of SQLite: streams, cursors, quota, media index."""

from gateway.store.store import Bounds, Store

__all__ = ["Bounds", "Store"]
