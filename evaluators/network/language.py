"""The Python that a network is written in: no other data than it is given, no seed of its own."""

from __future__ import annotations

from evolver.scoring import sources

_MODULES = {"torch", "math", "functools", "collections", "dataclasses", "typing", "__future__"}
#: Ways to other modules, files and processes; `torch` has some of these as attributes.
_DOORS = {
    "open", "eval", "exec", "compile", "globals", "locals", "vars", "getattr", "builtins", "os",
    "sys", "io", "importlib", "subprocess", "ctypes", "hub", "load", "save", "from_file",
    "load_library", "load_inline", "multiprocessing", "distributed", "numpy", "sklearn", "inspect",
}  # fmt: skip
#: With a seed of its own a program could draw the same random numbers for training and for
#: prediction, and need not hand them on, where they count.
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
            "the random numbers are the evaluator's, and what prediction needs of them belongs "
            "into the network's parameters",
        ),
    },
    methods=("__init__",),
    # Weights that were learnt elsewhere could stand in the source, where they are not counted.
    numbers=200,
    text=100,
)
