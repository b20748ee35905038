"""Paid replies and money: the store, its care, the record that a replay reads, the ledger and prices."""
