"""Tests of the parts: pure and fast. The folders are those of the packages."""
