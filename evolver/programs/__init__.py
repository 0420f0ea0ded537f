"""A program's text: its editable regions, edits, duplicates."""
