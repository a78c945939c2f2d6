"""The Postfix side: tables generated from the routes, what main.cf has to say, and a doctor.

For `lamson postfix`. The configuration is read once, into a `Site`, of which plan and doctor are
functions. Postfix's own configuration is only ever read and written through postconf(1).
"""
