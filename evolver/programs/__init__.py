"""A program's text: what may change of it, edits, duplicates."""
