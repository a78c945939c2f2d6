"""The tables of the application, as SQLAlchemy models.

After a change here write a migration (see README.md); `lamson syncdb` runs it.
"""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The base of all models."""
