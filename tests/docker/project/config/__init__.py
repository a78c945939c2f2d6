"""Its configuration."""
