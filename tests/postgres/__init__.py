"""A real PostgreSQL for tests, and what several connections to it show about Lamson."""

from tests.postgres.instance import USER, PostgresInstance, programs, why_not

__all__ = ["USER", "PostgresInstance", "programs", "why_not"]
