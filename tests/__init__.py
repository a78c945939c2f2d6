"""The tests of Lamson. Packages, so that one kind of test can use the real parts of another."""
