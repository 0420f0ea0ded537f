"""Between an operator and a model: who is asked, what it may cost, what was recorded."""
