"""Real mail that nobody here wrote, read from where it lies; never part of the repository.

`python -m tests.corpora` tells how far we and other parsers agree on it.
"""
