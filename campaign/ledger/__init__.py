"""The ledger: what was planned, sent and learned, in one SQLite file of one merchant and one gateway."""
