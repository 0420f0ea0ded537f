"""Say what is wrong with the arguments of a command, as evolver's own errors do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

# Typer brings its own copy of click, or needs click itself: this is that one's class.
WrongWords: Any = typer.BadParameter.__mro__[2]


def sentence(error: Any) -> str:
    """Return one sentence: what is wrong, and which command explains what is right.

    Args:
        error: a `WrongWords` as typer raises it.
    """
    from pydantic import ValidationError

    said: str = error.format_message().rstrip(".")
    if isinstance(error, typer.BadParameter) and isinstance(error.__cause__, ValidationError):
        option = error.param.opts[0] if error.param else "a value"
        said = f"{option}: {_mistake(error.__cause__.errors()[0])}"
    command = error.ctx.command_path if getattr(error, "ctx", None) else "evolver"
    ending = f" See '{command} -h'" if said.endswith("?") else f"; see '{command} -h'"
    return said[:1].lower() + said[1:] + ending


def _mistake(found: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, by what pydantic found."""
    match found["type"]:
        case "int_parsing":
            return f"'{found['input']}' is not a whole number"
        case "float_parsing":
            return f"'{found['input']}' is not a number"
        case "greater_than_equal":
            return f"{found['input']} is less than {found['ctx']['ge']}"
        case "value_error":
            return str(found["ctx"]["error"]).rstrip(".")
    return str(found["msg"])
