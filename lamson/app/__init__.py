"""The application: all parts of one project, built from its settings, for one process.

Used by the service's workers, by commands that need the parts, and by tests. Building it checks
what can be checked: handlers, routes, templates' directories, the database's schema; whatever is
wrong raises a LamsonError of one clear line. Nothing runs before `Application.start`.
"""

from lamson.app.application import Application

__all__ = ["Application"]
