"""Words of the mail protocols: addresses, replies, envelopes, dots. Pure."""
