"""Who may do what (docs/security.md): each promise, attacked by a real process.

A second user of the machine where it is about users, mail through a real Postfix where it is about
mail, a real worker where it is about memory or time.
"""
