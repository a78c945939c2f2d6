"""libmilter: callbacks, threads, its socket."""
