"""Ask why a program is better than the seed, and to apply the same principle elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import unified_diff
from typing import ClassVar

from evolver import prompts
from evolver.operators.llm.asking import Asking, thought
from evolver.programs.edits import find_regions
from evolver.prompts.shown import ShownCode, region_code
from evolver.types import Brief, Context, Elite, Prompt, Proposal


@dataclass(frozen=True)
class EvolutionOfThought(Asking):
    """Shows what an elite made of a region of the seed, and asks for the same principle elsewhere.

    Evolution of thought of Morris 2024 (LLM Guided Evolution, https://arxiv.org/abs/2403.11446):
    the model first says why the change made the program better, then applies that insight to a
    region of the parent. What it says is kept as the child's thought. The two versions are shown
    as one difference, which holds both. Until a program differs from the seed, it asks for a plain
    edit.
    """

    templates: ClassVar[tuple[str, ...]] = (
        "diff.system",
        "evolution-of-thought.user",
        "diff.user",
    )

    def prompt(self, context: Context) -> Prompt:
        """Return the prompt."""
        rng = context.rng
        changed = [
            (elite, before, after)
            for elite in (*context.inspirations, context.parent)
            for before, after in _changes(elite, context.brief)
        ]
        if not changed:
            return prompts.render("diff", context)
        elite, before, after = rng.choice(changed)
        regions = prompts.shown.program(context.parent, context.brief).regions
        # Another region than the one with the difference, where the parent has one.
        targets = [region for region in regions if region.label != after.label] or regions
        extra = {
            "elite": prompts.shown.program(elite, context.brief),
            "is_parent": elite == context.parent,
            "region": after.label,
            "difference": _difference(before, after),
            "target": rng.choice(targets).label,
        }
        others = tuple(other for other in context.inspirations if other != elite)
        context = replace(context, inspirations=others)  # the prompt shows it anyway
        return prompts.render("evolution-of-thought", context, system=self.form, extra=extra)

    async def propose(self, context: Context) -> Proposal:
        """Return the parent with the edit, and the insight behind it as its thought.

        Raises:
            EditError: neither the answer nor its repairs could be applied.
            ProposalError: the answer changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        child, completion = await self.ask(context, self.prompt(context))
        return replace(self.proposal(child, completion), thought=thought(completion.text))


def _changes(elite: Elite, brief: Brief) -> list[tuple[ShownCode, ShownCode]]:
    """Return the regions in which an elite differs from the seed: of the seed, of the elite."""
    files = elite.program.files
    pairs = zip(
        find_regions(brief.seed, is_recorded=True),
        find_regions(files, is_recorded=True),
        strict=True,
    )
    both = [(region_code(old, brief.seed), region_code(new, files)) for old, new in pairs]
    return [(before, after) for before, after in both if before.text != after.text]


def _difference(before: ShownCode, after: ShownCode) -> str:
    lines = unified_diff(before.text.splitlines(), after.text.splitlines(), lineterm="", n=5)
    return "\n".join(list(lines)[2:])  # without the two lines that name files
