"""Everything that is kept: orders and their steps, performed steps, messages, what must be sent.

SQLAlchemy lives here and nowhere else.  Domain functions (`steps`, `orders`, `performed`, `outbox`,
`messages`, `callers`) are plain functions that take a `Transaction`; the `Store` gives them one.
"""

from mwl.store.glance import NotAtOnce
from mwl.store.store import Store, open_store
from mwl.store.transaction import Transaction

__all__ = ["NotAtOnce", "Store", "Transaction", "open_store"]
