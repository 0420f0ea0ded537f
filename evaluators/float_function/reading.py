"""Looks into a program in C before gcc does: that nothing in it is for the assembler."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evolver.errors import CandidateOutputError

_SPLICE = re.compile(rb"\\[ \t\v\f\r]*\n")
# Assembler, what would put the word together, and what glibc's headers write it in.
_ASSEMBLER = re.compile(rb"(?<!\w)_*asm_*(?!\w)|##|%:%:|__REDIRECT", re.ASCII)
# As of an #include or a target. Other strings reach the assembler as they are, in the name of a
# section, say. None of these characters ends a comment, so no quote in one makes a pair.
_PLAIN = re.compile(rb'"[\w.,=+\- /<>]*"', re.ASCII)


def check(files: Mapping[str, bytes]) -> None:
    """Check that a program has no assembler in it, by the text alone.

    Comments are not told from code, which would be to do what the compiler does.

    Raises:
        CandidateOutputError: it has, or could have.
    """
    for path, content in files.items():
        text = _SPLICE.sub(b"", content)
        if found := _ASSEMBLER.search(text):
            raise CandidateOutputError(
                f"{path} has '{found[0].decode()}' in it: write C and no assembler, and put no "
                "words together by ##, not even in a comment"
            )
        if b'"' in _PLAIN.sub(b"", text):
            raise CandidateOutputError(
                f"{path} has a string with other characters than letters, digits and '.,=+- /<>' "
                "in it, and a function of numbers needs none, not even in a comment"
            )
