"""The whole applications in examples/: what they promise, and that they work."""
