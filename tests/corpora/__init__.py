"""Real mail, read by us and by other parsers: `python -m tests.corpora` tells how far we agree."""
