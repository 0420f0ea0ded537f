"""What a run keeps: its facts, and the database in which they stand."""
