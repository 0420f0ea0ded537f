"""Measures known layers and activations.

    python evaluators/network_layer/baselines.py --write             # all, and store the results
    python evaluators/network_layer/baselines.py layer --program best/layer.py

All train with the same secret images, weights and batches, several times with different ones: a
single evaluation is too noisy for a comparison.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from statistics import mean, stdev

from evolver.evaluation.evaluator import EvaluatorSource, guest_files
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.types import Program

STORED = Path(__file__).with_name("baselines.json")
#: part -> name -> what the function returns.
KNOWN: Mapping[str, Mapping[str, str]] = {
    "layer": {
        "batch norm, ReLU": "max((x - mean_bwh(x)) / std_bwh(x) * gamma + beta, 0)",
        "group norm, ReLU": "max((x - mean_group(x)) / std_group(x) * gamma + beta, 0)",
        "EvoNorm-B0": "x / max(std_bwh(x), v * x + std_wh(x)) * gamma + beta",  # Liu 2020
        "EvoNorm-S0": "x * sigmoid(v * x) / std_group(x) * gamma + beta",
    },
    "activation": {
        "ReLU": "max(x, 0)",
        "GELU": "x * (1 + erf(x / 2 ** 0.5)) / 2",  # Hendrycks 2016
        "SiLU": "x * sigmoid(x)",  # Elfwing 2017
        "CRReLU": "max(x, 0) + (0.01 + a) * x * exp(-(x ** 2) / 2)",
        "tanh": "tanh(x)",
    },
}
_ARGUMENTS = {"layer": "x, v, gamma, beta", "activation": "x, a"}


def source_of(part: str, name: str) -> bytes:
    """Return the program of a known function."""
    return f"def {part}({_ARGUMENTS[part]}):\n    return {KNOWN[part][name]}\n".encode()


def measure(part: str, sources: Mapping[str, bytes], repeats: int) -> Mapping[str, object]:
    """Train with each program; return settings and, by name, means and deviations.

    Args:
        part: "layer" or "activation".
        sources: name -> program.
        repeats: evaluations of each, at least 2.
    """
    evaluator = EvaluatorSource("network_layer", Path()).load({"part": part})
    settings = SandboxSettings(preload=("numpy", "torch"), memory=2048)
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in sources}
    with closing(LocalSandbox(settings, guest=guest_files(evaluator))) as sandbox:
        for seed in range(repeats):
            for name, results in found.items():
                program = Program(0, {f"{part}.py": sources[name]})
                with sandbox.open(program, seed=seed, timeout=600.0) as candidate:
                    results.append(evaluator.evaluate(candidate).metrics)  # type: ignore[union-attr]
                last = ", ".join(f"{key} {value:.4f}" for key, value in results[-1].items())
                print(f"{part:10} {seed} {name:20} {last}", flush=True)
    points = {
        name: {key: round(mean(one[key] for one in results), 4) for key in results[0]}
        for name, results in found.items()
    }
    spread = {
        name: round(stdev(one["accuracy"] for one in results), 4) if repeats > 1 else None
        for name, results in found.items()
    }
    for name, point in points.items():
        print(f"{part:10} {name:20} {point['accuracy']:.4f} +- {spread[name]}", flush=True)
    measured = evaluator.measured  # type: ignore[attr-defined]
    return {"settings": measured, "repeats": repeats, "points": points, "deviation": spread}


def main() -> None:
    """Measure and print; with --write, store the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=" or ".join(KNOWN) + "; default: both")
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--program", type=Path, help="measure this program instead")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    for part in arguments.parts or KNOWN:
        sources = {name: source_of(part, name) for name in KNOWN[part]}
        if arguments.program:
            sources = {arguments.program.name: arguments.program.read_bytes()}
        found = measure(part, sources, arguments.repeats)
        if arguments.write and not arguments.program:
            stored = {**json.loads(STORED.read_text("utf-8")), part: found}
            STORED.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
