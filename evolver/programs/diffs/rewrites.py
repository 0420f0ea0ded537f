"""Code that replaces a whole region or file: read from an answer's fences, and made."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from evolver.errors import EditError, UsageError
from evolver.programs.diffs import marks
from evolver.programs.diffs.answers import (
    answer_lines,
    check_nothing_left_out,
    path_in,
    resolve_path,
)
from evolver.programs.diffs.fences import Fence, fences, longer_than
from evolver.programs.diffs.matching import indent_of
from evolver.programs.diffs.text import Text
from evolver.programs.edits import Region, find_regions, replace_regions
from evolver.programs.languages import language
from evolver.programs.markers import is_marker, markers
from evolver.types import Files

#: Languages in whose files fences are common.
_PROSE = ("markdown", "text", "jinja", "rst", "org")
_DEFINED = re.compile(r"(?:(?:async\s+)?def|class)\s+(\w+)")


def rewrite(answer: str, files: Files, readonly: Collection[str] = ()) -> dict[str, bytes]:
    """Return the files with the regions that the answer rewrites.

    A fenced block holds the code of one region, or a whole file with its markers. The line above
    it, or its info string, names the region (`Region.label`, or its name alone) or the file. A
    program with one region needs no names. Of several unnamed blocks, those in the program's
    language are preferred, and of these the one that defines all names that the region defines, or
    is by far the longest.

    Args:
        answer: what the model wrote, prose around the blocks included.
        files: the parent's editable files.
        readonly: paths of files that may not change, for a clearer error.

    Raises:
        EditError: there is no fenced block, one is cut off, fits no region, changes lines outside
            the regions, or several blocks fit a region.
    """
    blocks = _blocks(answer_lines(answer), files)
    if not blocks:
        raise EditError("the answer holds no fenced code block")
    regions = find_regions(files, is_recorded=True)
    named: dict[Region, list[_Offer]] = {}
    unnamed: list[_Offer] = []
    for block in blocks:
        offers = _offers(block, files, regions, readonly)
        for region, offer in offers.items():
            named.setdefault(region, []).append(offer)
        if not offers:
            unnamed.append(_Offer(block, block.lines))
    is_prose = any(language(region.path) in _PROSE for region in named or regions)
    if is_prose and unnamed and (named or len(unnamed) > 1):
        raise EditError(
            "the answer holds several fenced blocks, and which of them belong to the text is "
            "ambiguous; put the whole text in one block with a longer fence (````)"
        )
    if not named and len(regions) == 1:
        named = {regions[0]: unnamed}
    if not named:
        labels = ", ".join(region.label for region in regions)
        raise EditError(
            "no fenced block says which region it is for; write one of these on the line above: "
            + labels
        )
    bodies = {region: _chosen(offers, region, files) for region, offers in named.items()}
    return replace_regions(files, bodies)


@dataclass(frozen=True)
class _Offer:
    """The lines that a block has for one region."""

    block: Fence
    lines: Sequence[str]


def _blocks(lines: Sequence[str], files: Files) -> list[Fence]:
    """Return the fenced blocks that are not blank, also those in a fence around all of them."""
    blocks = [fence for fence in fences(lines) if any(map(str.strip, fence.lines))]
    if len(blocks) != 1 or blocks[0].language not in ("", "markdown", "text"):
        return blocks
    outer = blocks[0]
    if path_in(outer.above, files) is not None:
        return blocks  # a block below a file's name is the file
    languages = {language(path) for path in files}
    with suppress(EditError):
        inner = [fence for fence in fences(outer.lines) if any(map(str.strip, fence.lines))]
        # A text may hold blocks in other languages, and comments in code may hold any.
        is_answer = any(fence.language in languages for fence in inner) or not (
            languages & {*_PROSE, ""}
        )
        if inner and is_answer and outer.language not in languages:
            covered = {i for fence in inner for i in range(fence.start, fence.end + 1)}
            around = {line.strip() for i, line in enumerate(outer.lines) if i not in covered}
            known = {line.strip() for source in files.values() for line in Text(source).lines}
            return blocks if around & known - {""} else inner
    return blocks


def make(files: Files) -> str:
    """Return an answer that holds these files whole, with their markers.

    Such an answer cannot give an empty file, or one with blank lines only.
    """
    parts = []
    for path, source in files.items():
        lines = Text(source).lines
        ticks = "`" * longer_than(lines)
        parts.append("\n".join([path, f"{ticks}text", *lines, ticks]) + "\n")
    return "\n".join(parts)


def _offers(
    block: Fence, files: Files, regions: Sequence[Region], readonly: Collection[str]
) -> dict[Region, _Offer]:
    """Return the regions that a block rewrites, by name or by markers; {} for an unnamed block."""
    meant = _meant(block, files, regions, readonly)
    paths = {region.path for region in meant or regions}
    if any(_is_marked(path, block.lines) for path in paths):
        if len(paths) != 1:
            return {}
        path = paths.pop()
        inside = [region for region in regions if region.path == path]
        given = _between_markers(block.lines, inside, files[path])
        return {region: _Offer(block, body) for region, body in given.items()}
    return {meant[0]: _Offer(block, block.lines)} if len(meant) == 1 else {}


def _is_marked(path: str, lines: Sequence[str]) -> bool:
    """Tell whether there are markers in code for a file.

    Raises:
        EditError: a line looks like a marker but is malformed.
    """
    try:
        return bool(markers(path, _source(lines)))
    except UsageError as error:
        raise EditError(f"in the answer's code, {error}") from None


def _source(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).replace("\r", " ").encode("utf-8", "replace")


def _meant(
    block: Fence, files: Files, regions: Sequence[Region], readonly: Collection[str]
) -> list[Region]:
    """Return the regions that the block's info string or the line above it names."""
    names = {region.label for region in regions} | {r.name for r in regions if r.name}
    for label in (*block.labels, block.above):
        numbered = _numbered(label, files, regions)
        if numbered is not None:
            return [numbered]
        named = path_in(label, names | set(files))
        if named is None:
            continue
        exact = [r for r in regions if named in (r.label, r.name)]
        if len(exact) == 1:
            return exact
        path = resolve_path(named.partition(":")[0], files)
        if path is not None:
            return [region for region in regions if region.path == path]
        if resolve_path(named, readonly) is not None:
            raise EditError(f"{named} is read-only; the editable files are {', '.join(files)}")
    return []


def _numbered(label: str, files: Files, regions: Sequence[Region]) -> Region | None:
    """Return the region of a label with a number, such as "f.py block 2"."""
    words = re.fullmatch(
        r"(?:(?P<path>\S+?)[\s,:;(-]+)?block[\s#]*(?P<number>\d+)(?: (?:of|in) (?P<of>\S+))?\)?",
        re.sub(r"[*`\"'#]+", "", label).strip(" \t:.-"),
        re.IGNORECASE,
    )
    if words is None:
        return None
    said = words["path"] or words["of"]
    paths = {region.path for region in regions}
    path = resolve_path(said, files) if said else next(iter(paths)) if len(paths) == 1 else None
    inside = [region for region in regions if region.path == path]
    number = int(words["number"])
    return inside[number - 1] if 1 <= number <= len(inside) else None


def _chosen(offers: Sequence[_Offer], region: Region, files: Files) -> bytes:
    """Return the new body of a region, from the blocks for it.

    Raises:
        EditError: several blocks fit, or the one that fits is an edit or another language.
    """
    source = files[region.path]
    old = [line.rstrip() for line in Text(source[region.start : region.end]).lines]
    known = Text(source).lines
    code = [offer for offer in offers if not _is_edit(offer.block, known)]
    if not code:
        raise EditError(
            "a fenced block holds the marks of an edit; write the new code alone, or a whole edit"
        )
    new = [offer for offer in code if [line.rstrip() for line in offer.lines] != old] or code
    ranks = [_rank(offer.block, region.path) for offer in new]
    if min(ranks) == 2 and language(region.path) in _PROSE:
        raise EditError(
            f"the fenced block is {code[0].block.language} code, and {region.path} is a text; put "
            "the whole text in one block with a longer fence (````)"
        )
    first = [offer for offer, rank in zip(new, ranks, strict=True) if rank == min(ranks)]
    offer = _only_whole(first, new, old, region)
    lines = list(offer.lines)
    if lines == list(offer.block.lines) and (region.start, region.end) != (0, len(source)):
        lines = _as_deep(_without_surroundings(lines, region, source), region, source)
    return _encode(lines, region, source)


def _rank(block: Fence, path: str) -> int:
    """Say how well a block's language fits a file: 0 is best."""
    if block.language and block.language == language(path):
        return 0
    return 1 if block.language in ("", "text") else 2


def _is_edit(block: Fence, known: Sequence[str]) -> bool:
    """Tell whether a block is an edit, or a part of one, instead of code."""
    is_diff = block.info.split(maxsplit=1)[:1] in (["diff"], ["patch"], ["udiff"])
    return (
        is_diff
        or any(line for line in marks.strays(block.lines, known) if marks.has_word(line))
        or (marks.has_conflict(block.lines) and not marks.has_conflict(known))
    )


def _only_whole(
    first: Sequence[_Offer], offers: Sequence[_Offer], old: Sequence[str], region: Region
) -> _Offer:
    """Return the only block that is a whole new version of a region.

    Args:
        first: the blocks to choose from.
        offers: these, and others in languages that fit less.
        old: the region's lines.
        region: for the message.

    Raises:
        EditError: no block is, or several are.
    """
    names = _defined(old)
    whole = [offer for offer in offers if names <= _defined(offer.lines)] if names else []
    among = [offer for offer in first if offer in whole]
    if whole and not among:
        raise _several(region)
    if not among:
        sizes = [sum(1 for line in offer.lines if line.strip()) for offer in first]
        among = [offer for offer, size in zip(first, sizes, strict=True) if 2 * size >= max(sizes)]
    if any(list(offer.lines) != list(among[0].lines) for offer in among):
        raise _several(region)
    return among[0]


def _several(region: Region) -> EditError:
    return EditError(
        f"several fenced blocks could be the new {region.label}; write one of them, alone and whole"
    )


def _defined(lines: Sequence[str]) -> set[str]:
    """Return the names that Python code defines at its outermost level."""
    code = [line for line in lines if line.strip()]
    depth = min((len(indent_of(line)) for line in code), default=0)
    return {name[1] for name in (_DEFINED.match(line[depth:]) for line in code) if name}


def _between_markers(
    lines: Sequence[str], regions: Sequence[Region], source: bytes
) -> dict[Region, list[str]]:
    """Return the regions of a file that was written with its markers.

    Lines outside the regions may be left out, but not changed.
    """
    bodies: list[list[str]] = []
    is_inside = False
    frame = {line.strip() for line in _outside(source, regions)}
    own = {each.number: each for each in markers(regions[0].path, _source(lines))}
    for number, line in enumerate(lines, start=1):
        if number in own:
            if own[number].is_start == is_inside:
                break
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
    """Remove the file's lines before and after the region, where the answer repeats them all."""
    code = list(lines)
    before = _significant(source[: region.start], region.path)
    after = _significant(source[region.end :], region.path)
    kept = [index for index, line in enumerate(code) if line.strip()]
    stripped = [code[index].strip() for index in kept]
    if before and stripped[: len(before)] == before:
        code[: kept[len(before) - 1] + 1] = []
        stripped = stripped[len(before) :]
    if after and stripped[-len(after) :] == after:
        kept = [index for index, line in enumerate(code) if line.strip()]
        code[kept[-len(after)] :] = []
    return code


def _significant(piece: bytes, path: str) -> list[str]:
    lines = (line.strip() for line in Text(piece).lines)
    return [line for line in lines if line and not is_marker(line, path)]


def _as_deep(body: list[str], region: Region, source: bytes) -> list[str]:
    """Indent a region's lines as deep as before, where the answer has them without indent."""
    old = [line for line in Text(source[region.start : region.end]).lines if line.strip()]
    new = [line for line in body if line.strip()]
    depth = min((indent_of(line) for line in old), key=len, default="")
    if not depth or not new or min(len(indent_of(line)) for line in new) > 0:
        return body
    return [depth + line if line.strip() else line for line in body]


def _encode(body: Sequence[str], region: Region, source: bytes) -> bytes:
    """Return a region's lines with its file's line endings; the file's last ending is kept."""
    text = Text(source)
    check_nothing_left_out(body, text.lines)
    if region.end < len(source):
        return text.encode_lines(body)
    text.replace(0, len(text.lines), body)
    return text.encode()
