"""Load an evaluator and check what it returns. It is trusted; its mistakes raise clear errors."""

from __future__ import annotations

import inspect
import math
import numbers
import pickle
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from evolver.errors import CandidateOutputError, EvaluatorError, UsageError
from evolver.evaluation.inside import InsideEvaluator, InsideResult, find_inside, inside_of
from evolver.ports import Evaluator, WithGuest
from evolver.tasks.plugins import builtin_evaluators, check_keywords, configure, find
from evolver.types import Candidate, Files, Result


@dataclass(frozen=True)
class FunctionEvaluator:
    """A plain function with its keyword arguments, as an evaluator."""

    function: Callable[..., float | Mapping[str, float] | Result]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def evaluate(self, candidate: Candidate) -> float | Mapping[str, float] | Result:
        """Call the function."""
        return self.function(candidate, **self.settings)


def pickle_evaluator(evaluator: Callable[..., Any] | Evaluator | type) -> bytes:
    """Pickle an evaluator for the workers, by value if it is a closure or defined in a script.

    A definition in a module is pickled by name. This process's `sys.path` goes along, because
    another process does not search a script's folder.
    """
    import cloudpickle

    path = [str(Path(entry).absolute()) for entry in sys.path]  # "" is the current folder
    pickled: bytes = pickle.dumps((path, cloudpickle.dumps(evaluator)))
    return pickled


def _unpickle(pickled: bytes) -> Any:
    path, evaluator = pickle.loads(pickled)
    sys.path.extend(entry for entry in path if entry not in sys.path)  # last, so they hide nothing
    return pickle.loads(evaluator)


@dataclass(frozen=True)
class EvaluatorSource:
    """Where an evaluator comes from; it is sent to the workers in place of the evaluator."""

    use: str
    root: Path
    pickled: bytes | None = None  # by `pickle_evaluator`; trusted: the controller sends it

    def load(
        self, settings: Mapping[str, Any], where: str = "[evaluator] with", stage: str = ""
    ) -> Evaluator:
        """Import the evaluator and configure it.

        Args:
            settings: of one stage.
            where: the place of the settings, for error messages.
            stage: the stage's name; an evaluator that runs inside may have a function of that name.

        Raises:
            UsageError: it is not found, is not an evaluator, or its settings are wrong.
        """
        plugin: Any = None if self.pickled is not None else find_inside(self.use, self.root)
        if plugin is None:
            plugin = self._import()
            plugin = inside_of(plugin) or plugin
        if isinstance(plugin, InsideEvaluator):
            return plugin.at_stage(stage, settings)
        if inspect.isclass(plugin):
            plugin = configure(plugin, settings, where)
        elif callable(plugin) and not isinstance(plugin, Evaluator):
            check_keywords(plugin, settings, where)
            plugin = FunctionEvaluator(plugin, dict(settings))
        if not isinstance(plugin, Evaluator):
            raise UsageError(
                f"[evaluator] use = '{self.use}' is not an evaluator; name a function that takes a "
                "candidate, or a class with a method evaluate(candidate)"
            )
        return plugin

    def _import(self) -> Any:
        if self.pickled is not None:
            return _unpickle(self.pickled)
        return find(self.use, root=self.root, kind="evaluator", builtin=builtin_evaluators())


def guest_files(evaluator: Evaluator) -> Files:
    """Return the evaluator's guest code: file name -> contents.

    Raises:
        UsageError: a file that `guest` names is not beside the evaluator.
    """
    names = evaluator.guest if isinstance(evaluator, WithGuest) else ()
    if isinstance(names, Mapping):
        return names
    files = {}
    for name in (names,) if isinstance(names, str) else names:
        try:
            folder = Path(inspect.getfile(type(evaluator))).parent
        except (OSError, TypeError) as error:  # defined in a script or a notebook
            raise UsageError(
                f"the evaluator's guest file {name} cannot be found, because the class "
                f"{type(evaluator).__name__} is not defined in a module; move it into one"
            ) from error
        path = folder / name
        if not path.is_file():
            raise UsageError(f"the evaluator's guest file {path} does not exist")
        files[Path(name).name] = path.read_bytes()
    return files


_ARTIFACT = 2**20  # bytes
_ARTIFACTS = 8 * 2**20


def read_result(
    returned: object,
    names: Sequence[str] = (),
    needed: Collection[str] = (),
    *,
    is_seed: bool = False,
) -> Result:
    """Check what an evaluator returned.

    Args:
        returned: a mapping, a Result, or with one objective its number.
        names: of the objectives.
        needed: metrics that must be finite; an evaluator that takes a path may return others that
            are not.
        is_seed: whether the program is the seed; its user can fix a value that is not finite.

    Raises:
        EvaluatorError: it has another type or no metric, a metric is not a number, or a metric of
            the seed is not finite.
        CandidateOutputError: a number is not finite.
    """
    if is_number(returned):
        if len(names) != 1:
            raise EvaluatorError(
                f"the evaluator returned the number {returned!r}, but there are the objectives "
                f"{', '.join(names)}; return metrics by name"
            )
        returned = {names[0]: returned}
    if isinstance(returned, InsideResult):
        unfit = {name: value for name, value in returned.not_finite.items() if name in needed}
        _numbers(unfit, "metric", is_seed=is_seed)
    if isinstance(returned, Mapping):
        returned = Result(returned)
    if not isinstance(returned, Result):
        raise EvaluatorError(
            "the evaluator must return a number, a mapping of metrics or a Result, "
            f"not {type(returned).__name__}"
        )
    if not returned.metrics:
        raise EvaluatorError("the evaluator returned no metric")
    return Result(
        _numbers(returned.metrics, "metric", is_seed=is_seed),
        _numbers(returned.private, "private metric", is_seed=is_seed),
        _numbers(returned.features, "feature", is_seed=is_seed),
        str(returned.feedback),
        _cut(returned.artifacts),
    )


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a real number of Python or numpy; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _numbers(values: Mapping[str, object], kind: str, *, is_seed: bool) -> dict[str, float]:
    checked: dict[str, float] = {}
    for name, value in values.items():
        if not is_number(value):
            raise EvaluatorError(
                f"{kind} '{name}' is {value!r}, which is not a number; return a float"
            )
        number = _as_float(value)
        if not math.isfinite(number) and is_seed:
            raise EvaluatorError(
                f"{kind} '{name}' is {number}; mend the program or the evaluator so that it is "
                "finite"
            )
        if not math.isfinite(number):
            raise CandidateOutputError(f"{name} is {number}")
        checked[str(name)] = number
    return checked


def _as_float(value: Any) -> float:
    """Return a number as a float; one that is too large becomes infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _cut(artifacts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Cut artifacts to the limits; a cut one ends with a note."""
    kept, total = {}, 0
    for name, content in artifacts.items():
        content = bytes(content)
        room = min(_ARTIFACT, _ARTIFACTS - total)
        if len(content) > room:
            note = f"\n[cut: {len(content)} bytes, only the first are kept]".encode()
            content = content[: max(0, room - len(note))] + note
        kept[str(name)] = content
        total += len(content)
    return kept
