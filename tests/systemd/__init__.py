"""The units that `lamson gen` makes, under a real systemd."""
