"""The Postfix side: tables generated from the routes, what main.cf has to say, and a doctor.

For `lamson postfix`. Postfix's own configuration is only ever read and written through postconf(1).
"""
