"""Jinja2 templates, in a Jinja2 sandbox: a task's own take precedence over evolver's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

from evolver.bundled import bundled
from evolver.errors import UsageError
from evolver.programs.diffs.fences import longer_than

_ENDING = ".md.j2"


def fill(name: str, folder: str, values: Mapping[str, Any], rng: Random | None = None) -> str:
    """Return a template's text.

    Args:
        name: such as "diff.user".
        folder: the task's own templates; "" for none.
        values: what the template sees, beside the filter `fenced`, which puts code and quoted text
            between fences, and `one_of(...)`, one of several phrasings.
        rng: draws the phrasings; None: always the first.

    Raises:
        UsageError: the template is missing or faulty.
    """

    def one_of(*phrasings: str) -> str:
        return phrasings[0] if rng is None else rng.choice(phrasings)

    try:
        text = _environment(folder).get_template(name + _ENDING).render(values, one_of=one_of)
    except TemplateNotFound as error:
        raise UsageError(
            f"there is no prompt template {error.name}; evolver's own are in {bundled('prompts')}"
        ) from None
    except Exception as error:
        raise UsageError(f"the prompt template {name + _ENDING} is faulty: {error}") from error
    # The store replaces lone surrogates in the same way, so a resumed run sends the same prompt.
    return text.strip().encode("utf-8", "replace").decode() + "\n"


def path(name: str, folder: str) -> Path:
    """Return the file of a template.

    Raises:
        UsageError: it is missing or faulty.
    """
    fill_from = (Path(folder), bundled("prompts")) if folder else (bundled("prompts"),)
    for place in fill_from:
        if (place / (name + _ENDING)).is_file():
            return place / (name + _ENDING)
    raise UsageError(
        f"there is no prompt template {name + _ENDING}; evolver's own are in {bundled('prompts')}"
    )


def fenced(text: str, language: str = "") -> str:
    """Put a text between fences longer than any inside it."""
    ticks = "`" * longer_than(text.split("\n"))
    ending = "" if text.endswith("\n") or not text else "\n"
    return f"{ticks}{language}\n{text}{ending}{ticks}"


@lru_cache(maxsize=16)
def _environment(folder: str) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader([*([folder] if folder else []), str(bundled("prompts"))]),
        undefined=StrictUndefined,
        autoescape=False,  # prompts are not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["fenced"] = fenced
    return environment
