"""Editable regions of a program, and edits applied inside them. Pure functions on bytes and text.

A region is the lines between ``EVOLVE-BLOCK-START [name]`` and the next ``EVOLVE-BLOCK-END``, each
a comment on a line of its own (`evolver.programs.markers`). If any file of a program has markers,
files without markers are read-only; otherwise every file is editable whole.

After every operator, each file without its regions is byte-equal to the seed's (`violation` checks
this).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evolver.errors import UsageError
from evolver.programs.markers import Marker, markers
from evolver.types import Files


@dataclass(frozen=True)
class Region:
    """An editable stretch of one file: `files[path][start:end]`, whole lines.

    Attributes:
        path: of the file.
        name: from its marker; "" for none.
        start: offset of its first line.
        end: offset behind its last line.
        label: its name in prompts and answers, unique in its program: the file's path for the only
            region of a file where it has no name, else ``path:name`` or ``path block 2``.
    """

    path: str
    name: str
    start: int
    end: int
    label: str


def _regions_of(path: str, source: bytes, *, is_recorded: bool) -> list[Region]:
    found: list[Region] = []
    opened: Marker | None = None
    for marker in markers(path, source, is_recorded=is_recorded):
        if marker.is_start and opened is not None:
            raise UsageError(
                f"{path}:{marker.number}: EVOLVE-BLOCK-START inside the block opened at line "
                f"{opened.number}; blocks do not nest, close that one first"
            )
        if marker.is_start:
            opened = marker
        elif opened is None:
            raise UsageError(
                f"{path}:{marker.number}: EVOLVE-BLOCK-END without an EVOLVE-BLOCK-START above it"
            )
        else:
            found.append(Region(path, opened.name, opened.end, marker.start, path))
            opened = None
    if opened is not None:
        raise UsageError(
            f"{path}:{opened.number}: EVOLVE-BLOCK-START is never closed; "
            "add a line with EVOLVE-BLOCK-END"
        )
    return _labelled(found)


def _labelled(regions: list[Region]) -> list[Region]:
    names = Counter(region.name for region in regions)
    return [
        replace(
            region,
            label=f"{region.path}:{region.name}"
            if region.name and names[region.name] == 1
            else region.path
            if len(regions) == 1
            else f"{region.path} block {number}",
        )
        for number, region in enumerate(regions, start=1)
    ]


def find_regions(files: Files, *, is_recorded: bool = False) -> tuple[Region, ...]:
    """Return the editable regions in the order of the files and of their lines.

    Args:
        files: of a program.
        is_recorded: see `markers`.

    Raises:
        UsageError: markers do not pair, or one is malformed.
    """
    marked = [
        region
        for path in files
        for region in _regions_of(path, files[path], is_recorded=is_recorded)
    ]
    if marked:
        return tuple(marked)
    return tuple(Region(path, "", 0, len(files[path]), path) for path in files)


def has_markers(files: Files, *, is_recorded: bool = False) -> bool:
    """Tell whether a program has markers; without any, each file is a region.

    Raises:
        UsageError: a marker is malformed.
    """
    return any(markers(path, files[path], is_recorded=is_recorded) for path in files)


def _is_recorded(seed: Files) -> bool:
    """Tell whether only an older run can have such a seed: new tasks refuse malformed markers."""
    try:
        has_markers(seed)
    except UsageError:
        return True
    return False


def skeleton(files: Files, *, is_recorded: bool = False) -> dict[str, tuple[bytes, ...]]:
    """Return each file without its regions: the part that no operator may change."""
    regions = find_regions(files, is_recorded=is_recorded)
    frame: dict[str, tuple[bytes, ...]] = {}
    for path, source in files.items():
        pieces, position = [], 0
        for region in regions:
            if region.path == path:
                pieces.append(source[position : region.start])
                position = region.end
        frame[path] = (*pieces, source[position:])
    return frame


def violation(seed: Files, child: Files) -> str | None:
    """Return why `child` is no edit of `seed` inside its regions; None where it is one."""
    if set(child) != set(seed):
        changed = ", ".join(sorted(set(child) ^ set(seed)))
        return f"the set of files changed: {changed}"
    is_recorded = _is_recorded(seed)
    try:
        seed_frame = skeleton(seed, is_recorded=is_recorded)
        child_frame = skeleton(child, is_recorded=is_recorded)
    except UsageError as error:
        return str(error)
    for path, frame in seed_frame.items():
        if len(child_frame[path]) != len(frame):
            return (
                f"{path}: the number of editable regions changed; keep the seed's lines "
                "EVOLVE-BLOCK-START and EVOLVE-BLOCK-END"
            )
        if child_frame[path] != frame:
            return (
                f"{path}: something outside the editable regions changed; change a copy of the "
                "seed between its lines EVOLVE-BLOCK-START and EVOLVE-BLOCK-END only"
            )
    return None


def replace_regions(files: Files, bodies: Mapping[Region, bytes]) -> dict[str, bytes]:
    """Return the files with some regions replaced, and add a missing last newline."""
    result = dict(files)
    for region in sorted(bodies, key=lambda r: r.start, reverse=True):
        body = bodies[region]
        source = result[region.path]
        if body and not body.endswith(b"\n") and region.end < len(source):
            body += b"\n"
        result[region.path] = source[: region.start] + body + source[region.end :]
    return result


def first_region_alone(files: Files) -> dict[str, bytes]:
    """Return the files with no editable region but the first; without markers, the first file.

    The markers of the others become FIXED-BLOCK, so that nothing else changes.
    """
    first = find_regions(files)[0]
    if not has_markers(files):
        return {first.path: files[first.path]}
    result = dict(files)
    for path, source in files.items():
        kept = {first.start, first.end} if path == first.path else set()
        for marker in reversed(markers(path, source)):
            if not kept & {marker.start, marker.end}:
                line = source[marker.start : marker.end].replace(b"EVOLVE-BLOCK-", b"FIXED-BLOCK-")
                result[path] = result[path][: marker.start] + line + result[path][marker.end :]
    return result
