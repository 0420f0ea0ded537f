r"""SEARCH/REPLACE blocks: read from an answer, applied inside the regions, made from two versions.

A block, with the path of its file above it where there are several::

    src/exp2.py
    <<<<<<< SEARCH
    lines as they stand in the file
    =======
    lines to stand there instead
    >>>>>>> REPLACE

The markers are seven characters long. Where the code itself holds such lines, longer markers of
equal length (`make` writes them) keep the block apart from what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from evolver.diffs.answers import answer_lines, is_fence, line_above, path_in, resolve_path
from evolver.diffs.matching import Match, find, nearest
from evolver.diffs.text import Text, is_marker
from evolver.edits import Region, find_regions, violation
from evolver.errors import EditError
from evolver.types import Files

_OPEN = re.compile(r"[ \t]*(<{5,})[ \t]*SEARCH\b[ \t]*(.*)$", re.IGNORECASE)
_DIVIDE = re.compile(r"[ \t]*(={5,})[ \t]*$")
_CLOSE = re.compile(r"[ \t]*(>{5,})[ \t]*(?:REPLACE)?[ \t]*$", re.IGNORECASE)
_CONTEXT = 2  # lines around a change that `make` writes where fewer would do


@dataclass(frozen=True)
class Edit:
    r"""One block. Each line of `search` and `replace` ends in ``\n``; no line is ""."""

    search: str
    replace: str
    path: str | None = None

    def render(self) -> str:
        """Return the block as a model would write it."""
        size = 7
        for line in (self.search + self.replace).split("\n"):
            mark = _OPEN.match(line) or _DIVIDE.match(line) or _CLOSE.match(line)
            size = max(size, len(mark[1]) + 1 if mark else 0)
        path = "" if self.path is None else f"{self.path}\n"
        divider, closer = "=" * size, ">" * size
        return (
            f"{path}{'<' * size} SEARCH\n{self.search}{divider}\n{self.replace}{closer} REPLACE\n"
        )


def parse(answer: str, paths: Collection[str] = ()) -> tuple[Edit, ...]:
    """Return the blocks of an answer, in order.

    Args:
        answer: what the model wrote, prose and fences around the blocks included.
        paths: the paths that a line above a block may name.

    Raises:
        EditError: there is no block, or one is not finished.
    """
    lines = answer_lines(answer)
    edits: list[Edit] = []
    index = 0
    while index < len(lines):
        opening = _OPEN.match(lines[index])
        if opening is None:
            index += 1
            continue
        size = len(opening[1])
        divider = _mark(lines, index + 1, _DIVIDE, size)
        closing = None if divider is None else _mark(lines, divider + 1, _CLOSE, size)
        if divider is None or closing is None:
            raise EditError(
                f"SEARCH/REPLACE block {len(edits) + 1} is not finished: the answer was cut off, "
                "or its line of ======= or >>>>>>> REPLACE is missing"
            )
        named = opening[2].strip() or line_above(lines, index)
        edits.append(
            Edit(
                search="".join(f"{line}\n" for line in lines[index + 1 : divider]),
                replace="".join(f"{line}\n" for line in lines[divider + 1 : closing]),
                path=path_in(named, paths),
            )
        )
        index = closing + 1
    if not edits:
        raise EditError("the answer holds no SEARCH/REPLACE block")
    return tuple(edits)


def _mark(lines: Sequence[str], start: int, mark: re.Pattern[str], size: int) -> int | None:
    """Find a block's next marker: one of its own size, else of any, before another block opens."""
    of_any_size = None
    for index in range(start, len(lines)):
        opening = _OPEN.match(lines[index])
        if opening is not None and len(opening[1]) == size:
            break
        found = mark.match(lines[index])
        if found is not None and len(found[1]) == size:
            return index
        if found is not None and of_any_size is None:
            of_any_size = index
    return of_any_size


def apply(edits: Sequence[Edit], files: Files, readonly: Collection[str] = ()) -> dict[str, bytes]:
    """Return the files after the edits, made one after the other.

    A block may hold lines from around a region, markers included, as long as what it changes lies
    inside one.

    Args:
        edits: what `parse` found.
        files: the parent's editable files.
        readonly: paths of files that stand beside them, for a clearer refusal.

    Raises:
        EditError: blocks match nothing, match several places, or change what is not editable; all
            of them are reported, with the lines closest to what was searched.
    """
    changed = dict(files)
    failures: list[EditError] = []
    for number, edit in enumerate(edits, start=1):
        try:
            changed = _apply_one(edit, changed, readonly)
        except EditError as error:
            report = f"Block {number}: {error.report}" if len(edits) > 1 else error.report
            failures.append(EditError(str(error), report))
    if failures:
        count = f"{len(failures)} of {len(edits)} blocks: " if len(edits) > 1 else ""
        report = "\n\n".join(failure.report for failure in failures)
        raise EditError(count + str(failures[0]), report)
    return changed


@dataclass(frozen=True)
class _Change:
    """A match in its file."""

    path: str
    start: int
    end: int
    lines: tuple[str, ...]
    is_editable: bool


def _apply_one(edit: Edit, files: Files, readonly: Collection[str]) -> dict[str, bytes]:
    regions = find_regions(files)
    candidates = _candidates(edit, files, readonly)
    texts = {path: Text(files[path]) for path in candidates}
    changes = []
    for path, text in texts.items():
        inside = [region for region in regions if region.path == path]
        changes += [_around_markers(path, text, match, inside) for match in _matches(edit, text)]
    editable = [change for change in changes if change.is_editable]
    if len(editable) == 1:
        change = editable[0]
        text = texts[change.path]
        text.replace(change.start, change.end, change.lines)
        return {**files, change.path: text.encode()}
    if editable:
        raise _ambiguous(edit, editable)
    if changes:
        raise _outside(edit, changes[0])
    raise _mismatch(edit, texts)


def _candidates(edit: Edit, files: Files, readonly: Collection[str]) -> list[str]:
    if edit.path is None or (len(files) == 1 and resolve_path(edit.path, readonly) is None):
        return list(files)
    path = resolve_path(edit.path, files)
    if path is not None:
        return [path]
    if resolve_path(edit.path, readonly) is not None:
        raise EditError(f"{edit.path} is read-only; the editable files are {', '.join(files)}")
    raise EditError(f"there is no file {edit.path}; the editable files are {', '.join(files)}")


def _matches(edit: Edit, text: Text) -> list[Match]:
    search, replace = edit.search.split("\n")[:-1], edit.replace.split("\n")[:-1]
    found = find(text.lines, search, replace)
    if not found and not any(map(str.strip, [*search, *text.lines])):
        return [Match(0, len(text.lines), tuple(replace))]  # fills an empty file
    if not found and len(search) > 2 and is_fence(search[0]) and is_fence(search[-1]):
        unfenced = replace[1:-1] if replace and is_fence(replace[0]) else replace
        found = find(text.lines, search[1:-1], unfenced)
    return found


def _around_markers(path: str, text: Text, match: Match, regions: Sequence[Region]) -> _Change:
    """Leave the markers of regions where they are, whatever the block makes of them."""
    start, end, lines = match.start, match.end, list(match.lines)
    old = text.lines
    while start < end and is_marker(old[start]):
        start += 1
        lines = lines[1:] if lines and is_marker(lines[0]) else lines
    while start < end and is_marker(old[end - 1]):
        end -= 1
        lines = lines[:-1] if lines and is_marker(lines[-1]) else lines
    if not any(map(is_marker, old[start:end])):
        lines = [line for line in lines if not is_marker(line)]
    is_nothing = list(old[start:end]) == lines
    is_editable = is_nothing or text.is_editable(start, end, regions)
    return _Change(path, start, end, tuple(lines), is_editable)


def _quoted(edit: Edit) -> str:
    return f"SEARCH\n{edit.search}"


def _first_line(edit: Edit) -> str:
    line = next((line.strip() for line in edit.search.split("\n") if line.strip()), "")
    return line if len(line) <= 60 else line[:59] + "…"


def _ambiguous(edit: Edit, changes: Sequence[_Change]) -> EditError:
    places = ", ".join(f"{change.path}:{change.start + 1}" for change in changes[:5])
    sentence = f"a SEARCH matches {len(changes)} places ({places}): {_first_line(edit)!r}"
    return EditError(
        sentence,
        f"This SEARCH matches {len(changes)} places ({places}); add lines around it until it "
        f"matches one only.\n{_quoted(edit)}",
    )


def _outside(edit: Edit, change: _Change) -> EditError:
    lines = f"{change.path}:{change.start + 1}"
    sentence = f"an edit at {lines} lies outside the editable regions: {_first_line(edit)!r}"
    return EditError(
        sentence,
        f"This SEARCH stands at {lines}, outside the editable regions. Only lines between "
        f"EVOLVE-BLOCK-START and EVOLVE-BLOCK-END may change.\n{_quoted(edit)}",
    )


def _mismatch(edit: Edit, texts: dict[str, Text]) -> EditError:
    sentence = f"a SEARCH matches nothing: {_first_line(edit)!r}"
    report = f"This SEARCH matches no lines.\n{_quoted(edit)}"
    search = edit.search.split("\n")[:-1]
    for path, text in texts.items():
        place = nearest(text.lines, search)
        if place is not None:
            start, end = place
            closest = "\n".join(text.lines[start:end])
            report += f"\nThe closest lines, {path}:{start + 1}-{end}, are\n{closest}\n"
    return EditError(sentence, report)


def make(before: Files, after: Files) -> str:
    """Return blocks that turn one version of some files into the other.

    Each search stands in its file once only, at the moment when its turn comes. Each file must
    have one kind of line ending, and the last lines of both versions must both end in it, or both
    not.

    Raises:
        ValueError: the versions differ outside the editable regions.
    """
    reason = violation(before, after)
    if reason is not None:
        raise ValueError(f"no edit leads from one version to the other: {reason}")
    edits: list[Edit] = []
    for path, source in before.items():
        changes = [
            change
            for old, new in zip(find_regions(before), find_regions(after), strict=True)
            if old.path == path
            for change in _line_changes(source, old, after[path][new.start : new.end])
        ]
        edits += _edits_for(Text(source).lines, changes, path if len(before) > 1 else None)
    return "\n".join(edit.render() for edit in edits)


def _line_changes(
    source: bytes, region: Region, body: bytes
) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Yield start, end and new lines of what differs in a region, counted from the file's top."""
    above = len(Text(source[: region.start]).lines)
    old, new = Text(source[region.start : region.end]).lines, Text(body).lines
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for group in matcher.get_grouped_opcodes(n=1):
        changes = [opcode for opcode in group if opcode[0] != "equal"]
        if changes:
            (_, start, _, low, _), (_, _, end, _, high) = changes[0], changes[-1]
            yield above + start, above + end, new[low:high]


def _edits_for(
    lines: Sequence[str], changes: Sequence[tuple[int, int, Sequence[str]]], path: str | None
) -> list[Edit]:
    """Give each change enough context to be the only place that its search matches."""
    current, shift, edits = list(lines), 0, []
    for first, last, new in changes:
        start, end = first + shift, last + shift
        margin = _CONTEXT
        while True:
            low, high = max(0, start - margin), min(len(current), end + margin)
            search = current[low:high]
            if (low, high) == (0, len(current)) or len(find(current, search, search)) == 1:
                break
            margin += 1
        replace = [*current[low:start], *new, *current[end:high]]
        edits.append(
            Edit("".join(f"{x}\n" for x in search), "".join(f"{x}\n" for x in replace), path)
        )
        current[start:end] = new
        shift += len(new) - (end - start)
    return edits
