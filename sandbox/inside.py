"""Runs an evaluator of the form `evaluate(program_path)` beside the candidate, in its process.

This is guest code: the program that is judged shares the process and can say what it likes here.
The evaluator finds itself in a folder that looks like its task's: its own file, the modules that it
imports, and the program. It is also the current directory, may be written to, and is as short-lived
as the evaluation.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import candidate  # what guest code gets: see `sandbox.program.CandidateModule`

_TEXT = 100_000  # characters of what is no number, no text and no bytes

_folder = ""  # once it is made
_modules: dict[str, ModuleType] = {}


def evaluate(
    files: dict[str, bytes],
    changed: dict[str, bytes],
    file: str,
    function: str,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return what the evaluator says of the program.

    Args:
        files: the evaluator's own: path -> contents.
        changed: files of the program that are not what was laid out.
        file: the path of the evaluator's file.
        function: the name of its function.
        settings: keyword arguments for it.

    Returns:
        "metrics" and "artifacts", both of plain values: numbers, texts, bytes, nested mappings.
    """
    if not _folder:
        _lay_out(files, changed)
    program = f"{_folder}/{candidate.path}"
    returned = getattr(_load(file), function)(program, **settings)
    if inspect.iscoroutine(returned):
        import asyncio  # 20 ms, and only for those

        returned = asyncio.run(returned)
    return _plain_result(returned)


def _lay_out(files: dict[str, bytes], changed: dict[str, bytes]) -> None:
    global _folder
    _folder = f"{os.environ['TMPDIR']}/task"  # where nothing is yet
    for path, content in {**changed, **files}.items():
        target = Path(_folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for place, _, names in os.walk(candidate.root):
        inner = Path(_folder, Path(place).relative_to(candidate.root))
        inner.mkdir(exist_ok=True)
        for name in names:
            if not (inner / name).exists():
                (inner / name).symlink_to(Path(place, name))
    os.chdir(_folder)
    sys.path.insert(0, _folder)
    # Python processes that the evaluator starts find what is found here.
    installed = [path for path in sys.path if path.endswith(("/site-packages", "/dist-packages"))]
    os.environ["PYTHONPATH"] = os.pathsep.join([_folder, *installed])
    _stand_in()


def _load(file: str) -> ModuleType:
    if file not in _modules:
        name = Path(file).stem
        spec = importlib.util.spec_from_file_location(name, f"{_folder}/{file}")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _modules[file] = module
    return _modules[file]


@dataclass
class EvaluationResult:
    """What OpenEvolve's evaluators may return instead of a mapping of metrics."""

    metrics: dict[str, float]
    artifacts: dict[str, str | bytes] = field(default_factory=dict)


def _stand_in() -> None:
    """Let evaluators written for OpenEvolve import their result's class where it is missing."""
    if importlib.util.find_spec("openevolve") is not None:
        return
    package, module = ModuleType("openevolve"), ModuleType("openevolve.evaluation_result")
    package.__path__ = []
    module.EvaluationResult = EvaluationResult  # type: ignore[attr-defined]
    sys.modules |= {package.__name__: package, module.__name__: module}


def _plain_result(returned: Any) -> dict[str, Any]:
    metrics: Any = returned
    artifacts: Any = {}
    if hasattr(returned, "metrics"):
        metrics, artifacts = returned.metrics, getattr(returned, "artifacts", None) or {}
    elif isinstance(returned, Mapping) and isinstance(returned.get("metrics"), Mapping):
        metrics, artifacts = returned["metrics"], returned.get("artifacts") or {}
    if not isinstance(metrics, Mapping):
        metrics = {"score": metrics}
    return {"metrics": _plain(metrics), "artifacts": _plain(artifacts)}


def _plain(value: Any) -> Any:
    """Return a value that can cross: numbers as floats, what is unknown as text."""
    if value is None or isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if not isinstance(value, list | tuple | set):
        try:
            return float(value)  # numpy's and torch's numbers too
        except OverflowError:
            return math.inf if value > 0 else -math.inf
        except (TypeError, ValueError):
            pass
    try:
        return json.dumps(value)[:_TEXT]
    except (TypeError, ValueError):
        return repr(value)[:_TEXT]
