"""Servers that are measured beside Lamson, each a program run as a child process."""
