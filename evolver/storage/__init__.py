"""The facts of a run, and the database that holds them."""
