"""The LMTP front end: Postfix hands mail over here, the engine handles it, Postfix gets replies.

`connection` is the protocol without any I/O, `session` joins it to the engine, `server` joins that
to asyncio. A mistake of the client becomes a reply; the connection is never just dropped.
"""
