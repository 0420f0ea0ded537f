"""The search: the engine, the population, selection, evidence and the gate."""
