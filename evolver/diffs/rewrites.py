"""Code that stands in place of a whole region or file: read from an answer's fences, and made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from evolver.diffs.answers import (
    Fence,
    answer_lines,
    check_nothing_left_out,
    fences,
    is_fence,
    path_in,
    resolve_path,
)
from evolver.diffs.matching import indent_of
from evolver.diffs.text import Text, is_marker
from evolver.edits import Region, find_regions, replace_regions
from evolver.errors import EditError
from evolver.types import Files


def rewrite(answer: str, files: Files, readonly: Collection[str] = ()) -> dict[str, bytes]:
    """Return the files with the regions that the answer gives in full.

    A fenced block holds the code of one region, or a whole file with its markers. The line above
    it, or its info string, names the region (`path:name`, `name`) or the file; with one region
    in all nothing needs a name, and of several unnamed blocks the longest is meant.

    Args:
        answer: what the model wrote, prose around the blocks included.
        files: the parent's editable files.
        readonly: paths of files that stand beside them, for a clearer refusal.

    Raises:
        EditError: no fenced block, one that is cut off, one that fits no region, or one that
            changes what is not editable.
    """
    blocks = _blocks(answer_lines(answer))
    if not blocks:
        raise EditError("the answer holds no fenced code block")
    regions = find_regions(files)
    bodies: dict[Region, bytes] = {}
    for block in sorted(blocks, key=lambda block: len(block.lines)):  # longer ones win
        bodies |= _bodies(block, files, regions, readonly)
    if not bodies:
        names = ", ".join(_name(region) for region in regions)
        raise EditError(
            "no fenced block says which region it is for; write one of these on the line above: "
            + names
        )
    return replace_regions(files, bodies)


def _blocks(lines: Sequence[str]) -> list[Fence]:
    """Return the fenced blocks that are not blank, out of a fence around the whole answer too."""
    blocks = [fence for fence in fences(lines) if any(map(str.strip, fence.lines))]
    if len(blocks) == 1 and blocks[0].info in ("", "markdown", "md"):
        with suppress(EditError):
            return _blocks(blocks[0].lines) or blocks
    return blocks


def make(files: Files) -> str:
    """Return an answer that gives these files whole, with their markers.

    A file with nothing but blank lines, or without any, cannot be given so.
    """
    parts = []
    for path, source in files.items():
        lines = Text(source).lines
        runs = [line.strip() for line in lines if is_fence(line)]
        ticks = "`" * max(3, *(len(run) - len(run.lstrip("`")) + 1 for run in ("``", *runs)))
        parts.append("\n".join([path, f"{ticks}text", *lines, ticks]) + "\n")
    return "\n".join(parts)


def _name(region: Region) -> str:
    return f"{region.path}:{region.name}" if region.name else region.path


def _bodies(
    block: Fence, files: Files, regions: Sequence[Region], readonly: Collection[str]
) -> dict[Region, bytes]:
    """Return the regions that a block gives, none if it does not say which."""
    meant = _meant(block, files, regions, readonly)
    if any(map(is_marker, block.lines)):
        paths = {region.path for region in meant or regions}
        if len(paths) != 1:
            return {}
        path = paths.pop()
        inside = [region for region in regions if region.path == path]
        given = _between_markers(block.lines, inside, files[path])
        return {region: _encode(body, region, files[path]) for region, body in given.items()}
    if not meant and len(regions) == 1:
        meant = list(regions)
    if len(meant) != 1:
        return {}
    region = meant[0]
    source = files[region.path]
    body = list(block.lines)
    if (region.start, region.end) != (0, len(source)):
        body = _as_deep(_without_surroundings(body, region, source), region, source)
    return {region: _encode(body, region, source)}


def _meant(
    block: Fence, files: Files, regions: Sequence[Region], readonly: Collection[str]
) -> list[Region]:
    """Return the regions that the block's info string or the line above it names."""
    names = {_name(region) for region in regions} | {r.name for r in regions if r.name}
    for label in (*reversed(block.info.split(maxsplit=1)), block.above):
        named = path_in(label, names | set(files))
        if named is None:
            continue
        exact = [r for r in regions if named in (_name(r), r.name)]
        if len(exact) == 1:
            return exact
        path = resolve_path(named.partition(":")[0], files)
        if path is not None:
            return [region for region in regions if region.path == path]
        if resolve_path(named, readonly) is not None:
            raise EditError(f"{named} is read-only; the editable files are {', '.join(files)}")
    return []


def _between_markers(
    lines: Sequence[str], regions: Sequence[Region], source: bytes
) -> dict[Region, list[str]]:
    """Take the regions out of a file that was written with its markers.

    Lines outside them may be left out, not changed.
    """
    bodies: list[list[str]] = []
    is_inside = False
    frame = {line.strip() for line in _outside(source, regions)}
    for line in lines:
        if is_marker(line):
            is_inside = not is_inside
            if is_inside:
                bodies.append([])
        elif is_inside:
            bodies[-1].append(line)
        elif line.strip() and line.strip() not in frame:
            raise EditError(
                f"{regions[0].path}: the line {line.strip()[:60]!r} lies outside the editable "
                "regions; only what is between EVOLVE-BLOCK-START and EVOLVE-BLOCK-END may change"
            )
    if is_inside or len(bodies) != len(regions):
        raise EditError(
            f"{regions[0].path} has {len(regions)} editable regions, the answer has {len(bodies)} "
            "(or one that is not closed)"
        )
    return dict(zip(regions, bodies, strict=True))


def _outside(source: bytes, regions: Sequence[Region]) -> list[str]:
    pieces, position = [], 0
    for region in regions:
        pieces.append(source[position : region.start])
        position = region.end
    return [line for piece in (*pieces, source[position:]) for line in Text(piece).lines]


def _without_surroundings(lines: Sequence[str], region: Region, source: bytes) -> list[str]:
    """Cut off what stands before and after the region, where the answer repeats all of it."""
    code = list(lines)
    before = _significant(source[: region.start])
    after = _significant(source[region.end :])
    kept = [index for index, line in enumerate(code) if line.strip()]
    stripped = [code[index].strip() for index in kept]
    if before and stripped[: len(before)] == before:
        code[: kept[len(before) - 1] + 1] = []
        stripped = stripped[len(before) :]
    if after and stripped[-len(after) :] == after:
        kept = [index for index, line in enumerate(code) if line.strip()]
        code[kept[-len(after)] :] = []
    return code


def _significant(piece: bytes) -> list[str]:
    lines = (line.strip() for line in Text(piece).lines)
    return [line for line in lines if line and not is_marker(line)]


def _as_deep(body: list[str], region: Region, source: bytes) -> list[str]:
    """Indent a region's lines at least as deep as they were, where they were written flat."""
    old = [line for line in Text(source[region.start : region.end]).lines if line.strip()]
    new = [line for line in body if line.strip()]
    depth = min((indent_of(line) for line in old), key=len, default="")
    if not depth or not new or min(len(indent_of(line)) for line in new) > 0:
        return body
    return [depth + line if line.strip() else line for line in body]


def _encode(body: Sequence[str], region: Region, source: bytes) -> bytes:
    """Write a region's lines with its file's endings; the file ends as it did."""
    text = Text(source)
    check_nothing_left_out(body, text.lines)
    if region.end < len(source):
        return text.encode_lines(body)
    text.replace(0, len(text.lines), body)
    return text.encode()
