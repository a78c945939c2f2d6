"""The pages of the window, by what they are about."""
