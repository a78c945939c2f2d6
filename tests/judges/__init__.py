"""The judges of spam, asked for real: SpamAssassin's spamd and rspamd, from Debian's packages."""
