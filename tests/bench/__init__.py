"""`python -m tests.bench`: Lamson beside what a user would pick instead, in one interleaved run.

A *peer* is a server (peer.py, peers.py, dovecot.py, lamsons.py), a *load* is what is sent to it
(load.py, source.c); measure.py runs every load against every peer in turn, again and again, so that
a noisy minute hits them all. What is reported are medians, their spread, and ratios. A message
counts only where the receiving side counted it. sections.py names the parts.
"""
