"""The way of one delivery: dispatched, run in a transaction, replied to."""
