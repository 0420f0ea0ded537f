"""Runs on a disk: their settings, how they start, go on, are replayed and forked."""
