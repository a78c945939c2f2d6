"""The LMTP front end: Postfix hands mail over here, the dispatcher handles it, Postfix gets
replies.  `connection` is the protocol without any I/O, `session` joins it to the dispatcher,
`server` joins that to asyncio. A mistake of the client becomes a reply; the connection is never
just dropped.
"""
