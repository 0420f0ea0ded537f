"""Read the body of a model server's answer leniently: the answer is paid for, whatever its form.

A chat completion is JSON as OpenAI defined it. Servers also send lists of parts, nulls, streams of
events without being asked, the formats of other providers, or no JSON at all. `read` takes the text
wherever it stands. Where it finds none, the text is the body itself, so that nothing is lost. A
missing count is unknown, not an error.
"""

from __future__ import annotations

import re
from dataclasses import replace

from evolver.models.reading.complaints import complaint_in, plain
from evolver.models.reading.completions import answer_of
from evolver.models.reading.documents import clean, decoded, documents_in, loaded
from evolver.models.reading.records import Answer, Choice, Complaint, Usage
from evolver.models.reading.streams import merged

__all__ = ["Answer", "Choice", "Complaint", "Usage", "plain", "read"]

_TORN = re.compile(r'"(?:content|text)"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)


def read(body: bytes | str) -> Answer:
    """Read a body; any body can be read."""
    text = clean(body if isinstance(body, str) else decoded(body))
    documents = list(documents_in(text))
    answer = (
        merged(documents) if len(documents) > 1 else answer_of(documents[0] if documents else None)
    )
    if any(choice.text or choice.reasoning for choice in answer.choices):
        return answer
    complaint = complaint_in(text, documents)
    if complaint is not None:
        return replace(answer, choices=(), complaint=complaint)
    if answer.choices:
        return answer
    return replace(answer, choices=(_torn(text) or Choice(text.strip()),))


def _torn(text: str) -> Choice | None:
    """Return the beginning of the text of an answer whose JSON is cut off."""
    found = _TORN.search(text) if text.lstrip()[:1] in ("{", "[") else None
    if found is None or loaded(text) is not None:
        return None
    for lost in range(7):  # a truncated escape has up to six characters
        said = loaded(f'"{found[1][: len(found[1]) - lost]}"')
        if isinstance(said, str):
            return Choice(clean(said), finish_reason="length") if said.strip() else None
    return None
