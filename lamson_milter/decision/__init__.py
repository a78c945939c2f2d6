"""Many verdicts, one decision. Pure."""
