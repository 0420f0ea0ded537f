"""Checks before a run: doctor, init, the gallery, the reference of task.toml."""
