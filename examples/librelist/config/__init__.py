"""The configuration of the project."""
