"""All that needs libmilter, or is there for its sake: callbacks, threads, bodies, its socket.

For the worker alone, which imports the bindings when it starts: whatever else uses filters runs
without them.
"""
