"""What outlives a process: the database, Maildirs, notes of crashes."""
