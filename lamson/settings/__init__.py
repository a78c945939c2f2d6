"""What a project can set: the vocabulary of ``config/settings.py``."""

from lamson.settings.model import Lmtp, Milter, Postfix, Settings, Socketmap, Submission

__all__ = ["Lmtp", "Milter", "Postfix", "Settings", "Socketmap", "Submission"]
