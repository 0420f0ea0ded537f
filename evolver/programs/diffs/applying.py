"""Edits of any format, applied inside the editable regions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evolver.errors import EditError
from evolver.programs.diffs import marks
from evolver.programs.diffs.answers import check_nothing_left_out, resolve_path
from evolver.programs.diffs.fences import is_fence
from evolver.programs.diffs.matching import Match, find, find_exactly, nearest
from evolver.programs.diffs.text import Part, Text
from evolver.programs.edits import violation
from evolver.programs.markers import is_marker
from evolver.types import Files


@dataclass(frozen=True)
class Edit:
    r"""Lines to find and the lines that replace them. Each line ends in ``\n``.

    Attributes:
        search: the lines as they stand in the file.
        replace: the new lines.
        path: of the file; None: the only one where the search matches.
        line: number, from 1, of the line where the search should match; of several matches the
            nearest is taken. None: there must be one match only.
        has_last_newline: whether the file's last line ends in a newline afterwards; None: as it
            does now.
        otherwise: other readings of the same lines, tried where this one has no exact match.
        readings: all readings, the shortest search first, where several lines could divide the
            block. This edit is the first of them. `_apply_only` chooses.
    """

    search: str
    replace: str
    path: str | None = None
    line: int | None = None
    has_last_newline: bool | None = None
    otherwise: tuple[Edit, ...] = ()
    readings: tuple[Edit, ...] = ()


def apply(edits: Sequence[Edit], files: Files, readonly: Collection[str] = ()) -> dict[str, bytes]:
    """Return the files after the edits, made one after the other.

    An edit may hold lines from around a region, markers included, but may change only lines
    inside one.

    Args:
        edits: what `parse` found.
        files: the parent's editable files.
        readonly: paths of files that may not change, for a clearer error.

    Raises:
        EditError: edits match nothing, match several places, or change lines outside the regions.
            The report has all of them, with the lines closest to each search.
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
    """What an edit changes where it matches."""

    path: str
    at: int  # index of the first searched line
    parts: Sequence[Part]  # in order
    child: bytes | None  # the file afterwards; None where lines outside the regions change

    @property
    def start(self) -> int:
        """Index of the first line that changes, else of the first searched line."""
        return self.parts[0].start if self.parts else self.at


def _apply_one(edit: Edit, files: Files, readonly: Collection[str]) -> dict[str, bytes]:
    if edit.readings:
        return _apply_only(edit, files, readonly)
    candidates = _candidates(edit, files, readonly)
    texts = {path: Text(files[path]) for path in candidates}
    changes = [
        _change(path, text, match, edit, files)
        for path, text in texts.items()
        for match in _matches(edit, text)
    ]
    editable = _nearest_to(edit.line, [change for change in changes if change.child is not None])
    if len(editable) == 1:
        change = editable[0]
        for part in change.parts:
            check_nothing_left_out(part.lines, texts[change.path].lines)
        assert change.child is not None
        return {**files, change.path: change.child}
    if editable:
        raise _ambiguous(edit, editable)
    if changes:
        raise _outside(edit, changes[0])
    raise _mismatch(edit, texts)


def _apply_only(edit: Edit, files: Files, readonly: Collection[str]) -> dict[str, bytes]:
    """Apply one reading: the longest search that matches exactly, else the only applicable one.

    A search that holds a line of ======= and matches exactly holds a heading with its underline:
    this is no coincidence. Every shorter search ends above that line, so it matches as well. A
    search that begins and ends with such a line is ambiguous: its last line may be the divider.
    """
    texts = [Text(files[path]) for path in _candidates(edit, files, readonly)]
    for reading in edit.readings[:0:-1]:
        search = _split(reading.search)
        if any(find_exactly(text.lines, search, ()) for text in texts):
            if marks.DIVIDE.match(search[0]) and marks.DIVIDE.match(search[-1]):
                break
            return _apply_one(reading, files, readonly)
    children: list[dict[str, bytes]] = []
    failures: list[EditError] = []
    for reading in edit.readings:
        try:
            child = _apply_one(reading, files, readonly)
        except EditError as error:
            failures.append(error)
        else:
            if child not in children:
                children.append(child)
    if len(children) == 1:
        return children[0]
    if not children:
        raise failures[0]
    sentence = "a block has several lines of =======, and more than one could divide it"
    raise EditError(
        sentence,
        f"{sentence}. Write it again with its three marks two characters longer, such as "
        f"{'<' * 9} SEARCH, {'=' * 9} and {'>' * 9} REPLACE.\n{_quoted(edit)}",
    )


def _nearest_to(line: int | None, changes: list[_Change]) -> list[_Change]:
    """Keep the changes nearest to a line, where all are in one file."""
    if line is None or len({change.path for change in changes}) != 1:
        return changes
    distances = [abs(change.at + 1 - line) for change in changes]
    return [
        change
        for change, distance in zip(changes, distances, strict=True)
        if distance == min(distances)
    ]


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
    for look in (find_exactly, find):
        for reading in (edit, *edit.otherwise):
            found = look(text.lines, _split(reading.search), _split(reading.replace))
            if found:
                return found
    search, replace = _split(edit.search), _split(edit.replace)
    if not any(map(str.strip, [*search, *text.lines])):
        return [Match(0, 0, len(text.lines), tuple(replace))]  # fills an empty file
    if not search and edit.line is not None:
        at = min(max(0, edit.line - 1), len(text.lines))
        return [Match(at, at, at, tuple(replace))]
    if len(search) > 2 and is_fence(search[0]) and is_fence(search[-1]):
        unfenced = replace[1:-1] if replace and is_fence(replace[0]) else replace
        return find(text.lines, search[1:-1], unfenced)
    return []


def _split(text: str) -> list[str]:
    """Return the lines of an edit's text, without their endings."""
    return text.split("\n")[:-1]


def _change(path: str, text: Text, match: Match, edit: Edit, files: Files) -> _Change:
    """Return what a match changes.

    Of three readings, the first that keeps the lines outside the regions is taken: as the edit
    says, with the markers kept in between, and with the markers kept around it.
    """
    whole = Part(match.start, match.end, list(match.lines))
    readings = [[whole] if text.lines[whole.start : whole.end] != whole.lines else []]
    between = _between_markers(path, text, match)
    if between is not None:
        readings.append(between)
    around = _around_markers(path, text, match)
    readings.append([around] if text.lines[around.start : around.end] != around.lines else [])
    for parts in readings:
        for ends_in_newline in dict.fromkeys((edit.has_last_newline, None)):
            child = text.with_parts(parts, ends_in_newline)
            if violation(files, {**files, path: child}) is None:
                return _Change(path, match.at, parts, child)
    return _Change(path, match.at, readings[-1], None)


def _around_markers(path: str, text: Text, match: Match) -> Part:
    """Keep the markers at both ends of a change, whatever the edit makes of them."""
    start, end, lines = match.start, match.end, list(match.lines)
    old = text.lines
    while start < end and is_marker(old[start], path):
        start += 1
        lines = lines[1:] if lines and is_marker(lines[0], path) else lines
    while start < end and is_marker(old[end - 1], path):
        end -= 1
        lines = lines[:-1] if lines and is_marker(lines[-1], path) else lines
    if not any(is_marker(line, path) for line in old[start:end]):
        lines = [line for line in lines if not is_marker(line, path)]
    return Part(start, end, lines)


def _between_markers(path: str, text: Text, match: Match) -> list[Part] | None:
    """Split a change at its markers; None where it changes a marker."""
    before = _stretches(path, text.lines[match.start : match.end])
    after = _stretches(path, match.lines)
    if [marker.strip() for marker, _ in before] != [marker.strip() for marker, _ in after]:
        return None
    parts, start = [], match.start
    for (marker, old), (_, new) in zip(before, after, strict=True):
        start += bool(marker)
        if old != new:
            parts.append(Part(start, start + len(old), new))
        start += len(old)
    return parts


def _stretches(path: str, lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return the lines between markers, each stretch with the marker above it; "" for the first."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in lines:
        if is_marker(line, path):
            found.append((line, []))
        else:
            found[-1][1].append(line)
    return found


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
    search = _split(edit.search)
    for path, text in texts.items():
        place = nearest(text.lines, search)
        if place is not None:
            start, end = place
            closest = "\n".join(text.lines[start:end])
            report += f"\nThe closest lines, {path}:{start + 1}-{end}, are\n{closest}\n"
    return EditError(sentence, report)
