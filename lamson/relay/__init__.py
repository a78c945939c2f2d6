"""The way out: the outbox, submitted to Postfix."""
