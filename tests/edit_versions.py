"""Programs to edit, and random pairs of versions, for the tests of every format of edits."""

from __future__ import annotations

from textwrap import dedent

from hypothesis import strategies as st

MARKED = dedent(
    """\
    import math

    # EVOLVE-BLOCK-START
    def f(x):
        a = 1.0
        b = 2.0
        return a + b * x
    # EVOLVE-BLOCK-END

    print(f(1))
    """
)
TWO_REGIONS = dedent(
    """\
    # EVOLVE-BLOCK-START first
    a = 1
    # EVOLVE-BLOCK-END
    keep = 0
    # EVOLVE-BLOCK-START second
    b = 2
    # EVOLVE-BLOCK-END
    """
)

# Lines that look like the format's own, like fences, markers of regions in prose, odd spaces.
ODD_LINES = (
    *("", " ", "a", "b", "    a", "\ta", "a ", "```", "f.py", "x\x0cy", "\u2028", "é"),
    *("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "<<<<<<<<< SEARCH", "=====", ">>>>>>>>"),
)
LINES = st.lists(
    st.one_of(
        st.sampled_from(ODD_LINES),
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8),
    ),
    max_size=12,
)


@st.composite
def versions(draw: st.DrawFn) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Draw two versions of some files that have one kind of line ending."""
    before: dict[str, bytes] = {}
    after: dict[str, bytes] = {}
    for path in draw(st.sampled_from([["f.py"], ["f.py", "src/g.py"]])):
        ending = draw(st.sampled_from(["\n", "\r\n"]))
        old = draw(LINES)
        new = draw(st.one_of(LINES, st.permutations(old), st.just([*old, *old])))
        has_last = draw(st.booleans())
        for files, lines in ((before, old), (after, new)):
            text = "".join(line + ending for line in lines)
            files[path] = (text if has_last else text.removesuffix(ending)).encode()
    return before, after


def ends_alike(before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    """The one thing that lines cannot say: whether the last one ends in a line ending."""

    def is_open(source: bytes) -> bool:
        return bool(source) and not source.endswith(b"\n")

    def endings(source: bytes) -> int:
        return source.count(b"\r\n") * 2 > source.count(b"\n")

    return all(
        is_open(before[path]) == is_open(after[path])
        and endings(before[path]) == endings(after[path])
        for path in before
    )
