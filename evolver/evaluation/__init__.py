"""How a program comes to its score: workers, the judge, evaluators, executors."""
