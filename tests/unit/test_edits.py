"""Editable regions: where they are, and that nothing outside them changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.errors import UsageError
from evolver.programs.edits import find_regions, replace_regions, skeleton, violation

START, END = b"# EVOLVE-BLOCK-START\n", b"# EVOLVE-BLOCK-END\n"

# Lines without markers, of any bytes but those that end a line.
lines = st.lists(
    st.binary(max_size=6).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b"") + b"\n"),
    max_size=3,
).map(b"".join)
pieces = st.lists(st.tuples(lines, lines), min_size=1, max_size=4)


def assembled(parts, tail):
    """A file of (frozen, editable) pairs."""
    return b"".join(frozen + START + body + END for frozen, body in parts) + tail


@given(pieces, lines)
def test_regions_are_the_lines_between_the_markers(parts, tail):
    files = {"p.txt": assembled(parts, tail)}
    regions = find_regions(files)
    assert [files["p.txt"][r.start : r.end] for r in regions] == [body for _, body in parts]


@given(pieces, lines, st.data())
def test_what_replaces_regions_violates_nothing(parts, tail, data):
    files = {"p.txt": assembled(parts, tail), "q.txt": b"frozen"}
    regions = find_regions(files)
    bodies = {region: data.draw(lines) for region in regions if data.draw(st.booleans())}
    child = replace_regions(files, bodies)
    assert violation(files, child) is None
    assert skeleton(child) == skeleton(files)
    assert [child["p.txt"][r.start : r.end] for r in find_regions(child)] == [
        bodies.get(region, files["p.txt"][region.start : region.end]) for region in regions
    ]


@given(pieces, lines, st.data())
def test_a_byte_outside_the_regions_is_seen(parts, tail, data):
    source = assembled(parts, tail)
    inside = {i for r in find_regions({"p": source}) for i in range(r.start, r.end)}
    place = data.draw(st.sampled_from(sorted(set(range(len(source))) - inside)))
    changed = source[:place] + bytes([source[place] ^ 1]) + source[place + 1 :]
    assert violation({"p": source}, {"p": changed}) is not None


def test_a_body_without_a_last_newline_gets_one_before_a_marker_and_none_at_the_end():
    marked = {"p": START + b"x\n" + END}
    (region,) = find_regions(marked)
    assert replace_regions(marked, {region: b"y"}) == {"p": START + b"y\n" + END}
    whole = {"p": b"x\n"}
    (region,) = find_regions(whole)
    assert replace_regions(whole, {region: b"y"}) == {"p": b"y"}


def test_without_markers_every_file_is_editable_and_with_them_only_what_they_enclose():
    plain, marked = b"x\n", START + b"y\n" + END
    assert [(r.path, r.start, r.end) for r in find_regions({"a": plain, "b": plain})] == [
        ("a", 0, 2),
        ("b", 0, 2),
    ]
    assert [r.path for r in find_regions({"a": plain, "b": marked})] == ["b"]


@pytest.mark.parametrize("comment", ["// {}", "-- {}", "  /* {} */", "%{}"])
def test_markers_stand_in_comments_of_any_language_and_have_names(comment):
    start, end = (comment.format(f"EVOLVE-BLOCK-{word}") for word in ("START core", "END"))
    source = f"{start}\r\nx\r\n{end}\r\n".encode()
    (region,) = find_regions({"p": source})
    assert (region.name, source[region.start : region.end]) == ("core", b"x\r\n")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (START + START + END, "p:2: EVOLVE-BLOCK-START inside the block opened at line 1"),
        (b"x\n" + END, "p:2: EVOLVE-BLOCK-END without"),
        (b"x\n" + START + b"y\n", "p:2: EVOLVE-BLOCK-START is never closed"),
    ],
)
def test_markers_that_do_not_pair_are_named_with_their_line(source, said):
    with pytest.raises(UsageError, match=said):
        find_regions({"p": source})
    assert said in str(violation({"p": b"x\n"}, {"p": source}))


@pytest.mark.parametrize(
    ("child", "said"),
    [
        ({}, "the set of files changed: p"),
        ({"p": START + b"x\n" + END, "q": b""}, "the set of files changed: q"),
        ({"p": START + b"x\n" + END + START + END}, "number of editable regions changed"),
        ({"p": START + b"x\n" + END + b"more"}, "outside the editable regions changed"),
        ({"p": b"x\n"}, "outside the editable regions changed"),
    ],
)
def test_a_violation_is_said(child, said):
    assert said in str(violation({"p": START + b"x\n" + END}, child))
