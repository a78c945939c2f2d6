"""What outlives a process: the database, Maildirs, notes of crashes."""

LARGEST_ID = 2**63 - 1
"""Of a row: SQLite and PostgreSQL raise where they are asked for a larger one."""
