"""Tests of the milter with clients: one of our own, and miltertest."""
