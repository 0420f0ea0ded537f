"""The path from an operator to a model: which one is asked, its limits, its recorded answers."""
