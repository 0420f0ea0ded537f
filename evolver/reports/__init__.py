"""Show a run to people: on a terminal, as a report, as a table."""
