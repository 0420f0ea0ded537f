"""Markers of editable regions: comments of their own, in the language of their file."""

from __future__ import annotations

import io
import shutil
import sysconfig
import tokenize
from itertools import product
from pathlib import Path

import pytest

from evolver.errors import UsageError
from evolver.programs.edits import (
    find_regions,
    first_region_alone,
    has_markers,
    replace_regions,
    violation,
)
from evolver.programs.languages import language, named, tokens
from evolver.programs.markers import is_marker, markers
from evolver.runs.run import Run
from evolver.tasks.task import assemble_task


def read(path: str, source: str) -> list[tuple[bool, str, int]]:
    return [(m.is_start, m.name, m.number) for m in markers(path, source.encode())]


@pytest.mark.parametrize(
    ("path", "comment"),
    [
        *((path, "# {}") for path in ("a.py", "a.sh", "a.rb", "a.jl", "a.R", "a.yaml", "a.toml",
                                      "Makefile", "src/Dockerfile", "a.pl", "a.ps1", "a.m")),
        *((path, "// {}") for path in ("a.c", "a.h", "a.cpp", "a.cu", "a.js", "a.tsx", "a.go",
                                       "a.rs", "a.java", "a.kt", "a.swift", "a.cs", "a.zig",
                                       "a.php", "a.scss", "a.v", "a.proto", "a.fs")),
        *((path, "/* {} */") for path in ("a.c", "a.css", "a.sql", "a.js", "a.rs", "a.html")),
        *((path, "-- {}") for path in ("a.sql", "a.hs", "a.lua", "a.vhdl", "a.adb", "a.lean")),
        *((path, "{{- {} -}}") for path in ("a.hs", "a.elm")),
        *((path, ";; {}") for path in ("a.lisp", "a.el", "a.scm", "a.clj", "a.asm", "a.ini")),
        *((path, "<!-- {} -->") for path in ("a.html", "a.xml", "a.svg", "a.md", "a.vue")),
        *((path, "<!--{}-->") for path in ("a.html", "a.md")),
        *((path, "(* {} *)") for path in ("a.ml", "a.mli", "a.sml", "a.pas", "a.fs", "a.v")),
        *((path, "% {}") for path in ("a.tex", "a.sty", "a.m", "a.erl", "a.pl", "a.ps")),
        *((path, "! {}") for path in ("a.f90", "a.f", "a.F90")),
        *((path, "REM {}") for path in ("a.bat", "a.bas", "a.cmd")),
        ("a.lua", "--[[ {} ]]"), ("a.f", "C {}"), ("a.f", "* {}"), ("a.bat", ":: {}"),
        ("a.bas", "' {}"), ("a.vb", "' {}"), ("a.vim", '" {}'), ("a.jsx", "{{/* {} */}}"),
        ("a.j2", "{{# {} #}}"), ("a.rst", ".. {}"), ("a.scm", "#| {} |#"), ("a.c", "/** {} **/"),
        ("a.rs", "/// {}"), ("a.jl", "#= {} =#"), ("a.ps1", "<# {} #>"), ("a.md", "[//]: # ({})"),
        ("a.txt", "{}"), ("a.txt", "# {}"), ("noending", "# {}"), ("a.xyz", "// {}"),
        ("a.xyz", "(* {} *)"), ("a.xyz", "' {}"), ("a.xyz", '" {}'), ("a.xyz", "rem {}"),
    ],
)  # fmt: skip
def test_a_marker_is_a_comment_in_the_language_of_the_file(path: str, comment: str) -> None:
    names = {"": "", " core": "core", ": core.2": "core.2", ":größe": "größe"}
    for (name, said), indent, newline in product(names.items(), ("", "  "), ("\n", "\r\n", "")):
        first, last = (indent + comment.format(f"EVOLVE-BLOCK-{word}") for word in ("START", "END"))
        first = first.replace("START", "START" + name)
        source = f"{first}{newline or chr(10)}x\n{last}{newline}"
        assert read(path, source) == [(True, said, 1), (False, "", 3)]
        assert is_marker(first, path)
        assert is_marker(last, path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a.py", "# EVOLVE-BLOCK-START_core"),
        ("a.py", "# EVOLVE-BLOCK-START-core"),
        ("a.py", "# EVOLVE_BLOCK_START"),
        ("a.py", "# EVOLVE BLOCK START"),
        ("a.py", "# EVOLVE-BLOCK START"),
        ("a.py", "# evolve-block-start"),
        ("a.py", "# Evolve-Block-End core"),
        ("a.py", "# EVOLVE-BLOCK-BEGIN"),
        ("a.py", "# EVOLVE-BLOCK-STRAT"),
        ("a.py", "# EVOLVE-BLOCK"),
        ("a.py", "# EVOLVE-BLOCKS-START"),
        ("a.py", "# EVOLVE\u2011BLOCK\u2011START"),
        ("a.py", "# EVOLVE-BLOCK-START core loop"),
        ("a.py", "# EVOLVE-BLOCK-START (core)"),
        ("a.py", "# --- EVOLVE-BLOCK-START ---"),
        ("a.py", "x = 1  # EVOLVE-BLOCK-START"),
        ("a.py", "def f():  # EVOLVE-BLOCK-START core"),
        ("a.py", "// EVOLVE-BLOCK-START"),
        ("a.py", "EVOLVE-BLOCK-START"),
        ("a.c", "/* EVOLVE-BLOCK-START */ int x;"),
        ("a.c", "int x; // EVOLVE-BLOCK-END"),
        ("a.c", "# EVOLVE-BLOCK-START"),
        ("a.c", "/*\n * EVOLVE-BLOCK-START\n */"),
        ("a.css", "// EVOLVE-BLOCK-START"),
        ("a.html", "<p><!-- EVOLVE-BLOCK-START --></p>"),
        ("a.html", "<!--\nEVOLVE-BLOCK-START\n-->"),
        ("a.sql", "select 1; -- EVOLVE-BLOCK-START"),
        ("a.lisp", "(x) ; EVOLVE-BLOCK-START"),
        ("a.tex", "text % EVOLVE-BLOCK-START"),
        ("a.rs", "fn f<'a>(x: &'a str) {} // EVOLVE-BLOCK-START"),
        ("a.md", "# EVOLVE-BLOCK-START"),
        ("Makefile", "\t@echo hi # EVOLVE-BLOCK-START"),
        ("a.xyz", "x = 1 # EVOLVE-BLOCK-START"),
        ("a.xyz", "# evolve_block_start"),
        ("a.xyz", "EVOLVE-BLOCK-START"),
    ],
)
def test_what_looks_like_a_marker_is_an_error_with_its_line(path: str, source: str) -> None:
    number = 1 + source[: source.lower().index("evolve")].count("\n") + 1
    with pytest.raises(UsageError, match=rf"{path}:{number}: .* looks like a marker"):
        find_regions({path: f"first\n{source}\n".encode()})


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a.py", '"""Doc.\n\n# EVOLVE-BLOCK-START\nx\n# EVOLVE-BLOCK-END\n"""\n'),
        ("a.py", "x = '''\n# EVOLVE-BLOCK-START\n'''\n"),
        ("a.py", 'x = "# EVOLVE-BLOCK-START"\n'),
        ("a.py", 'x = [\n    "EVOLVE-BLOCK-START",\n    "EVOLVE-BLOCK-END",\n]\n'),
        ("a.py", 'x = "a \\\n# EVOLVE-BLOCK-START \\\nb"\n'),
        ("a.py", "# Only what is between EVOLVE-BLOCK-START and EVOLVE-BLOCK-END may change.\n"),
        ("a.py", "EVOLVE_BLOCK_START = 1\n"),
        ("a.py", "# Evolve blocks of code.\n"),
        ("a.js", "x = `\n// EVOLVE-BLOCK-START\n`;\n"),
        ("a.go", "x := `\n// EVOLVE-BLOCK-START\n`\n"),
        ("a.java", 'x = """\n  // EVOLVE-BLOCK-START\n  """;\n'),
        ("a.cpp", 'x = R"(\n// EVOLVE-BLOCK-START\n)";\n'),
        ("a.rs", 'x = r#"\n// EVOLVE-BLOCK-START\n"#;\n'),
        ("a.lua", "x = [[\n-- EVOLVE-BLOCK-START\n]]\n"),
        ("a.sh", "cat <<EOF\n# EVOLVE-BLOCK-START\nEOF\n"),
        ("a.c", 'puts("EVOLVE-BLOCK-START");\n'),
        ("a.sql", "select 'EVOLVE-BLOCK-START';\n"),
        ("a.lisp", '(print "EVOLVE-BLOCK-START")\n'),
        ("a.md", "Write `# EVOLVE-BLOCK-START` first.\n\n```python\n# EVOLVE-BLOCK-START\n```\n"),
        ("a.xyz", 'say "EVOLVE-BLOCK-START"\n'),
    ],
)
def test_in_strings_in_code_and_in_sentences_it_is_text(path: str, source: str) -> None:
    assert read(path, source) == []
    assert not has_markers({path: source.encode()})
    (region,) = find_regions({path: source.encode()})
    assert (region.start, region.end) == (0, len(source.encode()))


def test_a_byte_order_mark_before_a_marker() -> None:
    assert read("a.py", "\ufeff# EVOLVE-BLOCK-START\nx\n# EVOLVE-BLOCK-END\n") == [
        (True, "", 1),
        (False, "", 3),
    ]


def test_every_region_has_a_label_of_its_own() -> None:
    def block(name: str) -> bytes:
        return f"# EVOLVE-BLOCK-START{name}\nx\n# EVOLVE-BLOCK-END\n".encode()

    files = {
        "a.py": block("") + block(" core") + block(""),
        "b.py": block(""),
        "c.py": block(" core"),
        "d.py": block(" twice") + block(" twice"),
    }
    assert [region.label for region in find_regions(files)] == [
        "a.py block 1", "a.py:core", "a.py block 3", "b.py", "c.py:core", "d.py block 1",
        "d.py block 2",
    ]  # fmt: skip
    assert [region.label for region in find_regions({"a.py": b"x\n", "b.py": b"y\n"})] == [
        "a.py",
        "b.py",
    ]


def test_text_that_mentions_a_marker_may_come_and_go() -> None:
    seed = {"a.py": b'"""# EVOLVE-BLOCK-END"""\n# EVOLVE-BLOCK-START\nx\n# EVOLVE-BLOCK-END\n'}
    (region,) = find_regions(seed)
    child = replace_regions(seed, {region: b's = """\n# EVOLVE-BLOCK-START\n"""\n'})
    assert violation(seed, child) is None
    assert violation(child, seed) is None
    assert "looks like a marker" in str(
        violation(seed, replace_regions(seed, {region: b"# evolve_block_end\n"}))
    )


def test_one_region_alone_leaves_text_as_it_is() -> None:
    block = b"# EVOLVE-BLOCK-START\nx\n# EVOLVE-BLOCK-END\n"
    text = b's = "EVOLVE-BLOCK-START"\n'
    assert first_region_alone({"a.py": block + text + block, "b.py": block}) == {
        "a.py": block + text + block.replace(b"EVOLVE", b"FIXED"),
        "b.py": block.replace(b"EVOLVE", b"FIXED"),
    }


def _of_python(source: bytes) -> list[tuple[int, int]]:
    """Where the tokenizer of Python finds strings of several lines and comments."""
    lines = source.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    found = []
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            (first, left), (last, right) = token.start, token.end
            start = offsets[first - 1] + len(lines[first - 1].decode()[:left].encode())
            end = offsets[last - 1] + len(lines[last - 1].decode()[:right].encode())
            found.append((start, end))
    return found


def test_comments_and_strings_of_python_are_where_its_tokenizer_finds_them() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    checked = 0
    for path in sorted(folder.glob("*.py"))[::4]:
        source = path.read_bytes()
        ours = [(start, end) for start, end, _ in tokens("py", source)]
        theirs = _of_python(source)
        # A prefix, such as r or f, is no part of the string here.
        assert [end for _, end in ours] == [end for _, end in theirs], path
        assert all(a <= b <= a + 2 for (b, _), (a, _) in zip(ours, theirs, strict=True)), path
        checked += len(ours)
    assert checked > 1000


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b.py", "python"), ("a.CU", "cuda"), ("x.md", "markdown"), ("a.m", "matlab"), ("a", ""),
     ("a.xyz", ""), ("src/Makefile", "make")],
)  # fmt: skip
def test_languages_by_the_names_of_files(path: str, name: str) -> None:
    assert language(path) == name


def test_languages_by_the_words_of_fences() -> None:
    words = {"py": "python", "Python3": "python", "c++": "cpp", "js": "javascript", "nonsense": ""}
    assert {word: named(word) for word in words} == words


@pytest.mark.parametrize(
    ("source", "body"),
    [
        (b"# --- EVOLVE-BLOCK-START core ---\nx\n# --- EVOLVE-BLOCK-END ---\ny\n", b"x\n"),
        (b"def f(): # EVOLVE-BLOCK-START\n  x\n# EVOLVE-BLOCK-END of f\ny\n", b"  x\n"),
        (b"# evolve-block-start\nx\n# evolve-block-end\n", None),
        (b"# EVOLVE-BLOCK-START_core\nx\n", None),
    ],
)
def test_what_a_run_of_before_has_is_read_as_it_was_then(source: bytes, body: bytes | None) -> None:
    seed = {"a.py": source}
    with pytest.raises(UsageError, match="looks like a marker"):
        find_regions(seed)
    (region,) = find_regions(seed, is_recorded=True)
    assert source[region.start : region.end] == (source if body is None else body)
    assert has_markers(seed, is_recorded=True) == (body is not None)
    edited = source[region.start : region.end].replace(b"x", b"z")
    assert violation(seed, replace_regions(seed, {region: edited})) is None


def test_a_run_whose_seed_has_a_slip_opens_and_a_task_with_it_does_not(tmp_path: Path) -> None:
    recorded = tmp_path / "run"
    shutil.copytree(Path(__file__).parent.parent / "data" / "recorded" / "rules-1", recorded)
    (main,) = (path for path in Run.open(recorded).task.files if path.endswith(".py"))
    program = recorded / "task" / main
    text = program.read_text()
    assert "EVOLVE-BLOCK-START" in text
    program.write_text(text.replace("# EVOLVE-BLOCK-START", "# --- EVOLVE-BLOCK-START"))
    run = Run.open(recorded)
    assert main in run.task.files
    assert run.objective.names
    with pytest.raises(UsageError, match="looks like a marker"):
        assemble_task("again", recorded / "task", run.configuration.task)
