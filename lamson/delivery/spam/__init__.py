"""Whether a mail is spam, by whose word, and where it is kept then."""
