"""What is answered while a disk or a database fails, and that it works again afterwards.

Without a restart, and never by anything but 451: Postfix keeps the message and asks again.
"""
