"""The Python that a network may use: it has no access to other data, and sets no seed."""

from __future__ import annotations

from evolver.scoring import sources

_MODULES = {"torch", "math", "functools", "collections", "dataclasses", "typing", "__future__"}
#: Access to other modules, files and processes; `torch` has some of these as attributes.
_DOORS = {
    "open", "eval", "exec", "compile", "globals", "locals", "vars", "getattr", "builtins", "os",
    "sys", "io", "importlib", "subprocess", "ctypes", "hub", "load", "save", "from_file",
    "load_library", "load_inline", "multiprocessing", "distributed", "numpy", "sklearn", "inspect",
}  # fmt: skip
#: A program that sets a seed could draw the same random numbers for training and prediction, so
#: that they would not count as parameters.
_SEEDS = {
    "manual_seed", "seed", "Generator", "default_generator", "get_rng_state", "set_rng_state",
    "fork_rng", "random",
}  # fmt: skip

LANGUAGE = sources.Language(
    reason=(
        "a network is built of torch and math alone, and its weights are learnt from the images "
        "that it is given"
    ),
    modules=_MODULES,
    forbidden={
        **dict.fromkeys(_DOORS, ""),
        **dict.fromkeys(
            _SEEDS,
            "the random numbers are the evaluator's; random numbers that prediction needs must be "
            "parameters of the network",
        ),
    },
    methods=("__init__",),
    # Weights that were learnt elsewhere would not count as parameters if they stood in the source.
    numbers=200,
    text=100,
)
