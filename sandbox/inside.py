"""Runs an evaluator of the form `evaluate(program_path)` beside the candidate, in its process.

This is guest code: the program shares the process and can forge the result. The evaluator runs in a
folder like its task's, with its own file, the modules that it imports, and the program. The folder
is the current directory, is writable, and lasts as long as the evaluation.
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

import candidate  # `sandbox.program.CandidateModule`

_TEXT = 100_000  # characters of values other than numbers, strings and bytes

_folder = ""  # set when it is made
_modules: dict[str, ModuleType] = {}


def evaluate(
    files: dict[str, bytes],
    changed: dict[str, bytes],
    file: str,
    function: str,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return the evaluator's result for the program.

    Args:
        files: the evaluator's own: path -> contents.
        changed: files of the program that differ from those laid out.
        file: the path of the evaluator's file.
        function: the name of its function.
        settings: keyword arguments for it.

    Returns:
        "metrics" and "artifacts", both of plain values: numbers, strings, bytes, nested mappings.
    """
    if not _folder:
        _lay_out(files, changed)
    program = f"{_folder}/{candidate.path}"
    returned = getattr(_load(file), function)(program, **settings)
    if inspect.iscoroutine(returned):
        import asyncio  # takes 20 ms, so only for coroutines

        returned = asyncio.run(returned)
    return _plain_result(returned)


def _lay_out(files: dict[str, bytes], changed: dict[str, bytes]) -> None:
    global _folder
    _folder = f"{os.environ['TMPDIR']}/task"  # does not exist yet
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
    # Python processes that the evaluator starts find the same modules.
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
    """The result that OpenEvolve's evaluators may return instead of a mapping of metrics."""

    metrics: dict[str, float]
    artifacts: dict[str, str | bytes] = field(default_factory=dict)


def _stand_in() -> None:
    """Provide OpenEvolve's result class to its evaluators, if OpenEvolve is not installed."""
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
    """Return a value that can be sent: numbers as floats, unknown types as text."""
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
