"""Editable regions of a program, and edits applied inside them. Pure functions on bytes and text.

A region is what stands between a line with ``EVOLVE-BLOCK-START [name]`` and the next line with
``EVOLVE-BLOCK-END``, in a comment of any language. If any file of a program has markers, files
without them are read-only; if none has, every file is editable whole.

One invariant holds after every operator: each file with its regions cut out is byte-equal to the
seed's (`violation` checks it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from evolver.errors import UsageError
from evolver.types import Files

_MARKER = re.compile(rb"EVOLVE-BLOCK-(START|END)\b[ \t]*([\w.-]*)")


@dataclass(frozen=True)
class Region:
    """An editable stretch of one file: `files[path][start:end]`, whole lines."""

    path: str
    name: str
    start: int
    end: int


def _regions_of(path: str, source: bytes) -> list[Region]:
    found: list[Region] = []
    if b"EVOLVE-BLOCK-" not in source:
        return found
    opened: tuple[str, int, int] | None = None  # name, offset of the body, line number
    offset = 0
    for number, line in enumerate(source.splitlines(keepends=True), start=1):
        marker = _MARKER.search(line)
        if marker is not None:
            if marker[1] == b"START":
                if opened is not None:
                    raise UsageError(
                        f"{path}:{number}: EVOLVE-BLOCK-START inside the block opened at line "
                        f"{opened[2]}; blocks do not nest, close that one first"
                    )
                opened = (marker[2].decode("ascii", "replace"), offset + len(line), number)
            else:
                if opened is None:
                    raise UsageError(
                        f"{path}:{number}: EVOLVE-BLOCK-END without an EVOLVE-BLOCK-START above it"
                    )
                found.append(Region(path, opened[0], opened[1], offset))
                opened = None
        offset += len(line)
    if opened is not None:
        raise UsageError(
            f"{path}:{opened[2]}: EVOLVE-BLOCK-START is never closed; "
            "add a line with EVOLVE-BLOCK-END"
        )
    return found


def find_regions(files: Files) -> tuple[Region, ...]:
    """Return the editable regions in the order of the files and of their lines.

    Raises:
        UsageError: markers do not pair.
    """
    marked = [region for path in files for region in _regions_of(path, files[path])]
    if marked:
        return tuple(marked)
    return tuple(Region(path, "", 0, len(files[path])) for path in files)


def skeleton(files: Files) -> dict[str, tuple[bytes, ...]]:
    """Return what surrounds the regions of each file: the part no operator may change."""
    regions = find_regions(files)
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
    """Return why `child` is not an edit of `seed` inside its regions, or None."""
    if set(child) != set(seed):
        changed = ", ".join(sorted(set(child) ^ set(seed)))
        return f"the set of files changed: {changed}"
    try:
        seed_frame, child_frame = skeleton(seed), skeleton(child)
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
    """Return the files with some regions replaced; a missing last newline is added."""
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

    The markers of the others say FIXED-BLOCK instead, so that nothing else moves.
    """
    first = find_regions(files)[0]
    if not any(b"EVOLVE-BLOCK-" in source for source in files.values()):
        return {first.path: files[first.path]}
    result = {}
    for path, source in files.items():
        # Past the line of its end marker, which ends at a line break or with the file.
        keep = (source.find(b"\n", first.end) + 1 or len(source)) if path == first.path else 0
        result[path] = source[:keep] + source[keep:].replace(b"EVOLVE-BLOCK-", b"FIXED-BLOCK-")
    return result
