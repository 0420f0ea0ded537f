"""Render what a model is sent, from Jinja2 templates and an operator's context.

A prompt `name` is the pair of templates ``name.system.md.j2`` and ``name.user.md.j2``. What stays
the same for a whole run stands first, so that a provider's prompt cache can hold it. Templates see
plain values only, never an `Evaluation`: private metrics cannot be put into a prompt, not even by
a task's own templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from evolver.bundled import bundled
from evolver.edits import find_regions
from evolver.errors import EditError, UsageError
from evolver.types import Brief, Context, Elite, Files, Prompt

_FEEDBACK_HEAD, _FEEDBACK_TAIL = 1000, 3000  # characters; a traceback says most at its end
_LANGUAGES = {
    "c": "c", "cc": "cpp", "cpp": "cpp", "cu": "cuda", "go": "go", "h": "c", "java": "java",
    "jl": "julia", "js": "javascript", "md": "markdown", "py": "python", "rs": "rust", "sh": "sh",
    "toml": "toml", "ts": "typescript",
}  # fmt: skip


@dataclass(frozen=True)
class ShownCode:
    """A file, or one editable region of it."""

    path: str
    name: str  # of the region; "" for a file, or a region without a name
    text: str
    language: str  # as a fence names it; "" if unknown


@dataclass(frozen=True)
class ShownMetric:
    """A metric as a sentence says it; `goal` is "maximize", "minimize", a condition or ""."""

    name: str
    value: str
    goal: str


@dataclass(frozen=True)
class ShownProgram:
    """An elite without what no model may see."""

    files: tuple[ShownCode, ...]
    regions: tuple[ShownCode, ...]
    metrics: tuple[ShownMetric, ...]
    feedback: str
    summary: str


def render(name: str, context: Context, folders: Sequence[str | Path] = ()) -> Prompt:
    """Return the prompt of that name for this context.

    Templates see `description`, `objectives` and `requirements` (sequences of name and goal),
    `context` and `readonly` (code beside the program), `parent`, `inspirations` (best last) and
    `has_markers`; the filter `fenced` sets off code and other people's text.

    Args:
        name: "diff", "rewrite", or what a folder has templates for.
        context: what the operator sees.
        folders: searched for templates before evolver's own.

    Raises:
        UsageError: a template is missing or faulty.
    """
    values = _values(context)
    system, user = (_render(f"{name}.{part}.md.j2", values, folders) for part in ("system", "user"))
    return Prompt(system, user)


def repair(
    prompt: Prompt, answer: str, error: EditError, folders: Sequence[str | Path] = ()
) -> Prompt:
    """Return the prompt again, with the answer that could not be applied and the reason.

    Raises:
        UsageError: the template is missing or faulty.
    """
    values = {"answer": answer, "report": error.report}
    complaint = _render("repair.md.j2", values, folders)
    return Prompt(prompt.system, f"{prompt.user}\n{complaint}")


def fenced(text: str, language: str = "") -> str:
    """Put a text between fences longer than any inside it."""
    runs = re.findall(r"^[ \t]*(`{3,})", text, re.MULTILINE)
    ticks = "`" * max([3, *(len(run) + 1 for run in runs)])
    ending = "" if text.endswith("\n") or not text else "\n"
    return f"{ticks}{language}\n{text}{ending}{ticks}"


@lru_cache(maxsize=16)
def _environment(folders: tuple[str, ...]) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader([*folders, str(bundled("prompts"))]),
        undefined=StrictUndefined,
        autoescape=False,  # prompts are no HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["fenced"] = fenced
    return environment


def _render(template: str, values: Mapping[str, Any], folders: Sequence[str | Path]) -> str:
    try:
        environment = _environment(tuple(str(folder) for folder in folders))
        text = environment.get_template(template).render(values)
    except TemplateNotFound as error:
        raise UsageError(
            f"there is no prompt template {error.name}; evolver's own are in {bundled('prompts')}"
        ) from None
    except (TemplateError, SecurityError) as error:
        raise UsageError(f"the prompt template {template} is faulty: {error}") from error
    return text.strip() + "\n"


def _values(context: Context) -> dict[str, Any]:
    brief = context.brief
    return {
        "description": brief.description.strip(),
        "objectives": brief.objectives,
        "requirements": tuple(brief.require.items()),
        "context": tuple(_code(path, text) for path, text in brief.context.items()),
        "readonly": _files(brief.readonly),
        "parent": _program(context.parent, brief),
        "inspirations": tuple(_program(elite, brief) for elite in context.inspirations),
        "has_markers": any(b"EVOLVE-BLOCK-START" in source for source in brief.seed.values()),
    }


def _program(elite: Elite, brief: Brief) -> ShownProgram:
    files = elite.program.files
    regions = tuple(
        _code(path, _decode(files[path][region.start : region.end]).strip("\n"), region.name)
        for region in find_regions(files)
        for path in [region.path]
    )
    return ShownProgram(
        files=_files(files),
        regions=regions,
        metrics=_metrics(elite.evaluation.metrics, brief),
        feedback=_clip(elite.evaluation.feedback.strip()),
        summary=elite.program.summary.strip(),
    )


def _metrics(metrics: Mapping[str, float], brief: Brief) -> tuple[ShownMetric, ...]:
    """Return the metrics, objectives first, each with what is wanted of it."""
    goals = {name: [direction] for name, direction in brief.objectives}
    for name, condition in brief.require.items():
        goals.setdefault(name, []).append(f"must be {condition}")
    ordered = [name for name in goals if name in metrics]
    ordered += [name for name in metrics if name not in goals]
    return tuple(
        ShownMetric(name, f"{metrics[name]:.6g}", ", ".join(goals.get(name, ())))
        for name in ordered
    )


def _files(files: Files) -> tuple[ShownCode, ...]:
    return tuple(_code(path, _decode(source)) for path, source in files.items())


def _code(path: str, text: str, name: str = "") -> ShownCode:
    return ShownCode(path, name, text, _LANGUAGES.get(path.rpartition(".")[2], ""))


def _decode(source: bytes) -> str:
    return source.decode("utf-8", "replace").replace("\r\n", "\n")


def _clip(text: str) -> str:
    if len(text) <= _FEEDBACK_HEAD + _FEEDBACK_TAIL:
        return text
    cut = len(text) - _FEEDBACK_HEAD - _FEEDBACK_TAIL
    return f"{text[:_FEEDBACK_HEAD]}\n[... {cut} characters left out ...]\n{text[-_FEEDBACK_TAIL:]}"
