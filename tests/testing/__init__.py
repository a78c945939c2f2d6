"""One script of a conversation, played in the process of its test and through what runs."""
