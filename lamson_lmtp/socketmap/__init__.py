"""Postfix asks about addresses: the socketmap."""
