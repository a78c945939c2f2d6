"""Tests with a real, private Postfix: `instance` runs it, `sink` is the outside world behind it."""
