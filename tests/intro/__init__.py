"""The introduction of README.md, as one types it."""
