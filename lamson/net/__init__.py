"""Sockets, TLS, and who may connect."""
