"""The durable store of a market: every day's log, record by record, in SQLite or PostgreSQL."""

from flexpeer.adapters.store.backups import backup, restore
from flexpeer.adapters.store.store import DayLog, Store, StoreFailed

__all__ = ["DayLog", "Store", "StoreFailed", "backup", "restore"]
