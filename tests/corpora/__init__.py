"""Real mail that nobody here wrote, read from where it lies; never part of the repository."""
