"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Evaluations = Annotated[
    int | None, typer.Option(min=1, help="Stop after this many evaluations, including the seed's.")
]
Seconds = Annotated[float | None, typer.Option(help="Stop after this many seconds.")]
Dollars = Annotated[float | None, typer.Option(help="Stop when models have cost this much.")]
Tokens = Annotated[int | None, typer.Option(help="Stop after this many tokens of models.")]
Target = Annotated[
    float | None,
    typer.Option(
        help="Stop when a confirmed best reaches this value of the metric, or this hypervolume."
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of all random decisions.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Parallel evaluations (default: one per core).")
]
ModelName = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model: NAME at --api-base, PROVIDER/NAME, or one of the task's; may be repeated.",
    ),
]
ApiBase = Annotated[
    str | None, typer.Option(help="URL of an OpenAI-compatible endpoint; key from OPENAI_API_KEY.")
]
Deterministic = Annotated[
    bool | None,
    typer.Option(
        "--deterministic", help="The same seed gives the same run, with any number of workers."
    ),
]
AllowUnisolated = Annotated[
    bool | None,
    typer.Option(
        "--allow-unisolated", help="Run candidates without isolation if this machine has none."
    ),
]
SandboxName = Annotated[
    str | None, typer.Option("--sandbox", help="Sandbox for candidates: local or docker.")
]
Ablate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PART",
        help="Leave out a part of the method: no-evolution, no-context, one-region or "
        "small-model; may be repeated.",
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of task.toml, such as sandbox.memory=2048; may be repeated.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
