"""The window: its pages in this process, and `lamson dev` with a real browser."""
