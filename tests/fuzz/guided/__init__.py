"""Fuzzing that is guided by coverage: `make fuzz`.

Hypothesis (the tests beside this package) draws inputs that we thought of; here libFuzzer, by way
of atheris, looks for those that reach lines which none has reached. `targets` says what must hold
for any octets, `__main__` runs them for a stated time, and what was ever found lies in ``found/``
and is tried in every run of the tests.
"""
