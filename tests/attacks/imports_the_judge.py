"""Evaluators, evolver and their data cannot be imported."""

import importlib
import sys


def f(host):
    found = []
    sys.path.append(host["folder"])
    for name in ("evolver", "evaluators", "evaluator", "evaluate", "sandbox.session", "zygote"):
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError):
            continue
        found += [f"!imported {name}", repr(vars(module))[:10_000]]
    return found
