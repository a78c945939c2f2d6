"""The counting project."""
