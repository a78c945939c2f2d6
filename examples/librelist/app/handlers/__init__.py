"""Handler modules; the setting `handlers` in config/settings.py names those that are used."""
