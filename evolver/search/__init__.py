"""The engine and what it decides by: population, selection, evidence, the gate."""
