"""The application: handlers, models, templates."""
