"""The proof that no mail is lost and no handler's effect happens twice, whatever fails.

`faults` says what a fault is; `kills`, `cuts`, `storage`, `postgres_faults`, `submissions` and
`mail` hold the table of them; `rig` is the installation they strike, `load` what it is given to do,
`tally` the count afterwards. `test_faults` runs each in a short form, `python -m tests.faults` in a
long one, which also writes the table of docs/delivery.md.
"""
