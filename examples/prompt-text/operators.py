"""An operator for this task: edits the rules of a text, learning words from the feedback."""

import re
from dataclasses import dataclass

from evolver.errors import ProposalError
from evolver.types import Context, Proposal

_MISREAD = re.compile(r'^"(.*)" is for (\w+), went to', re.MULTILINE)


@dataclass(frozen=True)
class Reword:
    """Add a phrase of a misread message to its desk's rule, drop one, or move a rule.

    Attributes:
        longest: words of a phrase.
        tries: edits drawn before giving up on finding one that is new.
    """

    longest: int = 3
    tries: int = 50

    async def propose(self, context: Context) -> Proposal:
        """Return the text with one rule edited.

        Raises:
            ProposalError: no new text was found.
        """
        ((path, content),) = context.parent.program.files.items()
        for _ in range(self.tries):
            lines = content.decode().splitlines()
            edit = context.rng.choice((self._add, self._add, self._drop, self._move))
            summary = edit(lines, context)
            files = {path: ("\n".join(lines) + "\n").encode()}
            if summary and not context.is_seen(files):
                return Proposal(files, summary)
        raise ProposalError("no new text was found")

    def _add(self, lines, context):
        misread = _MISREAD.findall(context.parent.evaluation.feedback)
        if not misread:
            return ""
        message, desk = context.rng.choice(misread)
        words = re.findall(r"\w+", message)
        start = context.rng.randrange(len(words))
        phrase = " ".join(words[start : start + context.rng.randint(1, self.longest)])
        rules = [i for i, line in enumerate(lines) if '"' in line and desk in line]
        if rules:
            index = context.rng.choice(rules)
            lines[index] = lines[index].replace(", it is", f' or "{phrase}", it is')
        else:
            first = next((i for i, line in enumerate(lines) if '"' in line), len(lines))
            lines.insert(first, f'If it says "{phrase}", it is for {desk}.')
        return f'"{phrase}" is for {desk}'

    def _drop(self, lines, context):
        rules = [i for i, line in enumerate(lines) if line.count('"') > 2]
        if not rules:
            return ""
        index = context.rng.choice(rules)
        phrase = context.rng.choice(re.findall(r'"[^"]*"', lines[index]))
        lines[index] = lines[index].replace(f"{phrase} or ", "").replace(f" or {phrase}", "")
        return f"without {phrase}"

    def _move(self, lines, context):
        rules = [i for i, line in enumerate(lines) if '"' in line]
        if len(rules) < 2:
            return ""
        one, other = context.rng.sample(rules, 2)
        lines[one], lines[other] = lines[other], lines[one]
        return "another order of rules"
