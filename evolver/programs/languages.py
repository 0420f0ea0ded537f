"""Languages by file ending: their names in fences, and the syntax of their comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

# Strings hold no comments. Only closed strings count: a lone apostrophe, as in a word or a
# lifetime, opens no string.
_DOUBLE = rb'"[^"\\\r\n]*(?:\\(?:\r\n|[\s\S])[^"\\\r\n]*)*"'
_SINGLE = rb"'[^'\\\r\n]*(?:\\(?:\r\n|[\s\S])[^'\\\r\n]*)*'"
_QUOTED = rb'"[^"\r\n]*"'  # a backslash escapes nothing
_APOSTROPHES = rb"'[^'\r\n]*'"
_TRIPLE = rb'"""[^"\\]*(?:(?:\\[\s\S]|"(?!""))[^"\\]*)*"""'
_TRIPLE_SINGLE = rb"'''[^'\\]*(?:(?:\\[\s\S]|'(?!''))[^'\\]*)*'''"
_BACKTICKS = rb"`(?:\\[\s\S]|[^`\\])*`"
_RAW = rb"`[^`]*`"
_RAW_C = rb'R"(?P<delimiter>[^()\s\\]{0,16})\([\s\S]*?\)(?P=delimiter)"'
_RAW_RUST = rb'r(?P<hashes>#+)"[\s\S]*?"(?P=hashes)'
_LONG = rb"\[(?P<long>=*)\[[\s\S]*?\](?P=long)\]"
_HERE = (
    rb"<<[-~]?[ \t]*(?P<quote>[\"']?)(?P<here>[A-Z_]+)(?P=quote)[^\r\n]*\r?\n"
    rb"[\s\S]*?^[ \t]*(?P=here)\b"
)
_FENCED = rb"^ {0,3}(?P<ticks>`{3,}|~{3,})[^\r\n]*\r?\n[\s\S]*?^ {0,3}(?P=ticks)[`~]*[ \t]*\r?$"
_C_STRINGS = (_DOUBLE, _SINGLE)


@dataclass(frozen=True)
class Syntax:
    """The syntax of comments and strings.

    Attributes:
        line: signs that begin a comment up to the end of the line.
        block: opening and closing signs of other comments.
        strings: patterns.
        is_text: is a line of text a comment without any sign?
    """

    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    strings: tuple[bytes, ...] = ()
    is_text: bool = False


_C_BLOCK = (("/*", "*/"),)
_C = Syntax(("//",), _C_BLOCK, _C_STRINGS)
_CPP = Syntax(("//",), _C_BLOCK, (_RAW_C, *_C_STRINGS))
_JAVASCRIPT = Syntax(("//",), (("{/*", "*/}"), *_C_BLOCK), (_BACKTICKS, *_C_STRINGS))
_JAVA = Syntax(("//",), _C_BLOCK, (_TRIPLE, *_C_STRINGS))
_HASH = Syntax(("#",), (), _C_STRINGS)
_SHELL = Syntax(("#",), (), (_HERE, *_C_STRINGS))
_LISP = Syntax((";",), (("#|", "|#"),), (_DOUBLE,))
_TEX = Syntax(("%",))
_ML = Syntax((), (("(*", "*)"),), (_DOUBLE,))
_HTML_BLOCK = (("<!--", "-->"),)
_DASHES = Syntax(("--",), (), (_DOUBLE,))
_FORTRAN = Syntax(("!", "c", "*"), (), (_QUOTED, _APOSTROPHES))
_BASIC = Syntax(("'", "rem"), (), (_QUOTED,))
_TEMPLATE = (("{#", "#}"), ("{{!--", "--}}"), ("<%--", "--%>"))

# Name in fences -> endings, syntax. Where several languages share an ending, the comments of all of
# them count, and the first gives the name.
_LANGUAGES: dict[str, tuple[str, Syntax]] = {
    "python": ("py pyi pyx pyw sage", Syntax(
        ("#",), (), (_TRIPLE, _TRIPLE_SINGLE, *_C_STRINGS))),
    "c": ("c h", _C),
    "cpp": ("cc cpp cxx hpp hh hxx ipp ino", _CPP),
    "cuda": ("cu cuh", _CPP),
    "opencl": ("cl", _C),
    "glsl": ("glsl vert frag comp hlsl wgsl metal", _C),
    "objectivec": ("mm", _C),
    "java": ("java", _JAVA),
    "kotlin": ("kt kts", _JAVA),
    "scala": ("scala sc", _JAVA),
    "swift": ("swift", _JAVA),
    "csharp": ("cs csx", _JAVA),
    "dart": ("dart", _JAVA),
    "groovy": ("groovy gradle", _JAVA),
    "javascript": ("js mjs cjs jsx", _JAVASCRIPT),
    "typescript": ("ts tsx mts", _JAVASCRIPT),
    "go": ("go", Syntax(("//",), _C_BLOCK, (_RAW, *_C_STRINGS))),
    "rust": ("rs", Syntax(("//",), _C_BLOCK, (_RAW_RUST, _DOUBLE))),
    "zig": ("zig", Syntax(("//",), (), _C_STRINGS)),
    "php": ("php", Syntax(("//", "#"), (*_C_BLOCK, *_HTML_BLOCK), (_HERE, *_C_STRINGS))),
    "proto": ("proto sol", _C),
    "verilog": ("v sv svh", _C),
    "coq": ("v", _ML),
    "css": ("css", Syntax((), _C_BLOCK, _C_STRINGS)),
    "scss": ("scss less", _C),
    "julia": ("jl", Syntax(("#",), (("#=", "=#"),), (_TRIPLE, _DOUBLE))),
    "r": ("r", _HASH),
    "sh": ("sh bash zsh fish", _SHELL),
    "ruby": ("rb rake", _SHELL),
    "perl": ("pl pm", _SHELL),
    "prolog": ("pl pro", Syntax(("%",), _C_BLOCK, (_DOUBLE, _SINGLE))),
    "powershell": ("ps1 psm1", Syntax(("#",), (("<#", "#>"),), (_QUOTED, _APOSTROPHES))),
    "elixir": ("ex exs", Syntax(("#",), (), (_TRIPLE, _DOUBLE))),
    "nim": ("nim", Syntax(("#",), (("#[", "]#"),), (_TRIPLE, _DOUBLE))),
    "yaml": ("yaml yml", Syntax(("#",), (), (_QUOTED, _APOSTROPHES))),
    "toml": ("toml", Syntax(("#",), (), (_TRIPLE, _TRIPLE_SINGLE, _DOUBLE, _APOSTROPHES))),
    "ini": ("ini cfg conf", Syntax(("#", ";"))),
    "make": ("mk mak cmake", Syntax(("#",))),
    "tcl": ("tcl awk gp", _HASH),
    "sql": ("sql", Syntax(("--", "#"), _C_BLOCK, (_QUOTED, _APOSTROPHES))),
    "haskell": ("hs lhs elm purs idr agda", Syntax(("--",), (("{-", "-}"),), (_DOUBLE,))),
    "lua": ("lua", Syntax(("--",), (("--[[", "]]"),), (_LONG, *_C_STRINGS))),
    "ada": ("ada adb ads", _DASHES),
    "vhdl": ("vhd vhdl", _DASHES),
    "lean": ("lean", Syntax(("--",), (("/-", "-/"),), (_DOUBLE,))),
    "lisp": ("lisp lsp cl el scm ss rkt clj cljs edn fnl", _LISP),
    "asm": ("asm s nasm", Syntax((";", "#", "//", "@"), _C_BLOCK, (_DOUBLE,))),
    "llvm": ("ll", Syntax((";",), (), (_QUOTED,))),
    "wasm": ("wat wast", Syntax((";;",), (("(;", ";)"),), (_DOUBLE,))),
    "tex": ("tex sty cls ltx bib", _TEX),
    "matlab": ("m", Syntax(
        ("%", "#", "//"), (("%{", "%}"), *_C_BLOCK), (_QUOTED, _APOSTROPHES))),
    "erlang": ("erl hrl", Syntax(("%",), (), (_DOUBLE,))),
    "postscript": ("ps eps", _TEX),
    "minizinc": ("mzn dzn", Syntax(("%",), _C_BLOCK, (_DOUBLE,))),
    "html": ("html htm xhtml vue svelte", Syntax((), (*_HTML_BLOCK, *_C_BLOCK, *_TEMPLATE))),
    "xml": ("xml svg xsl xslt", Syntax((), _HTML_BLOCK)),
    "markdown": ("md markdown mdx", Syntax(
        (), (*_HTML_BLOCK, ("[//]: # (", ")")), (_FENCED, rb"`[^`\r\n]+`"))),
    "rst": ("rst", Syntax(("..",))),
    "jinja": ("j2 jinja jinja2 tmpl hbs erb", Syntax((), (*_TEMPLATE, *_HTML_BLOCK))),
    "org": ("org", Syntax(("#",))),
    "ocaml": ("ml mli", _ML),
    "sml": ("sml", _ML),
    "fsharp": ("fs fsx fsi", Syntax(("//",), (("(*", "*)"),), (_TRIPLE, _DOUBLE))),
    "pascal": ("pas pp dpr", Syntax(("//",), (("(*", "*)"), ("{", "}")), (_APOSTROPHES,))),
    "mathematica": ("wl wls nb", _ML),
    "fortran": ("f f77 for f90 f95 f03 f08", _FORTRAN),
    "basic": ("bas vb vbs vba", _BASIC),
    "batch": ("bat cmd", Syntax(("rem", "::"))),
    "vim": ("vim", Syntax(('"',), (), (_APOSTROPHES,))),
    "forth": ("fs fth 4th", Syntax(("\\",), (("( ", ")"),))),
    "apl": ("apl dyalog", Syntax(("⍝",), (), (_APOSTROPHES,))),
    "stata": ("do ado", Syntax(("//", "*"), _C_BLOCK, (_QUOTED,))),
    "sas": ("sas", Syntax(("*",), _C_BLOCK, (_QUOTED, _APOSTROPHES))),
    "cobol": ("cob cbl", Syntax(("*>", "*"), (), (_QUOTED, _APOSTROPHES))),
    "json": ("json jsonc json5", Syntax(("//",), _C_BLOCK, (_DOUBLE,))),
    "graphviz": ("dot gv", _C),
    "text": ("txt text prompt", Syntax(
        ("#", "//", "--", ";", "%"), (*_C_BLOCK, *_HTML_BLOCK, *_TEMPLATE), is_text=True)),
}  # fmt: skip
_NAMES = {"dockerfile": "sh", "makefile": "make", "gnumakefile": "make", "cmakelists.txt": "make"}

#: Syntax of files with an unknown ending: all common signs.
COMMON = Syntax(
    ("#", "//", "--", ";", "%", "!", "'", '"', "rem", "::", "\\", "..", "*", "@", "⍝"),
    (
        *_C_BLOCK, *_HTML_BLOCK, *_TEMPLATE, ("(*", "*)"), ("{-", "-}"), ("--[[", "]]"),
        ("#|", "|#"), ("<#", "#>"), ("#=", "=#"), ("{", "}"), ("(;", ";)"), ("/-", "-/"),
    ),
)  # fmt: skip

_BY_ENDING: dict[str, list[str]] = {}
for _name, (_endings, _) in _LANGUAGES.items():
    for _ending in _endings.split():
        _BY_ENDING.setdefault(_ending, []).append(_name)

# Other names of languages in fences, beside their file endings.
_ALIASES = {
    "python3": "python", "ipython": "python", "c++": "cpp", "rustlang": "rust", "golang": "go",
    "node": "javascript", "shell": "sh", "console": "sh", "latex": "tex", "htm": "html",
    "fortran90": "fortran", "octave": "matlab", "c#": "csharp", "f#": "fsharp",
    "objective-c": "objectivec", "plaintext": "text", "plain": "text", "elisp": "lisp",
    "emacs-lisp": "lisp", "scheme": "lisp", "racket": "lisp", "clojure": "lisp",
    "common-lisp": "lisp", "postgresql": "sql", "mysql": "sql", "sqlite": "sql", "bat": "batch",
    "vb": "basic", "vbnet": "basic", "jinja2": "jinja", "makefile": "make", "dockerfile": "sh",
}  # fmt: skip


def ending(path: str) -> str:
    """Return the ending of a file's name in lower case, such as "py"; "" without a dot."""
    name = path.rpartition("/")[2].lower()
    if name in _NAMES:
        return name
    return name.rpartition(".")[2] if "." in name else ""


def language(path: str) -> str:
    """Return a file's language by its name in fences; "" where it is unknown."""
    end = ending(path)
    return _NAMES.get(end) or next(iter(_BY_ENDING.get(end, ())), "")


def named(word: str) -> str:
    """Return the language that a word in a fence names; "" for none."""
    word = word.lower()
    if word in _LANGUAGES:
        return word
    return _ALIASES.get(word) or next(iter(_BY_ENDING.get(word, ())), "")


@lru_cache(maxsize=256)
def syntax(end: str) -> Syntax:
    """Return the syntax of files with this ending."""
    if end in _NAMES:
        return _LANGUAGES[_NAMES[end]][1]
    found = [_LANGUAGES[name][1] for name in _BY_ENDING.get(end, ())]
    if not found:
        return COMMON
    return Syntax(
        tuple(dict.fromkeys(sign for each in found for sign in each.line)),
        tuple(dict.fromkeys(pair for each in found for pair in each.block)),
        tuple(dict.fromkeys(text for each in found for text in each.strings)),
        any(each.is_text for each in found),
    )


def _sign(sign: str) -> bytes:
    """Return the pattern of a sign that begins a comment."""
    escaped = re.escape(sign.encode())
    match sign:
        case "rem":
            return rb"(?i:(?:(?<=^)|(?<=[\s&:(@]))rem\b)"
        case "c" | "*" | ".." | "\\" | "@":  # only at the start of a line
            return rb"(?i:^[ \t]*" + escaped + rb"(?=[ \t]))"
        case "#" | "%":
            return rb"(?<!\\)" + escaped
    return escaped


@lru_cache(maxsize=256)
def _pattern(end: str) -> re.Pattern[bytes]:
    shape = syntax(end)
    comments = [
        re.escape(opening.encode()) + rb"[\s\S]*?" + re.escape(closing.encode())
        for opening, closing in sorted(shape.block, key=lambda pair: -len(pair[0]))
    ]
    comments += [
        _sign(sign) + rb"[^\r\n]*" for sign in sorted(shape.line, key=lambda sign: -len(sign))
    ]
    parts = []
    if shape.strings:
        parts.append(rb"(?P<text>" + b"|".join(shape.strings) + rb")")
    if comments:
        parts.append(rb"(?P<comment>" + b"|".join(comments) + rb")")
    signs = [sign.encode() for sign in (*shape.line, *(opening for opening, _ in shape.block))]
    firsts = {sign[:1] for sign in signs} | {text.lstrip(b"\\")[:1] for text in shape.strings}
    if firsts & {
        b"^",
        b"r",
        b"c",
        b"*",
        b".",
        b"\\",
        b"@",
    }:  # the first character alone does not tell
        return re.compile(b"|".join(parts), re.MULTILINE)
    # Skipping all other characters at once is ten times faster than trying each.
    others = rb"[^" + b"".join(map(re.escape, sorted(firsts))) + rb"]*"
    return re.compile(others + rb"(?:" + b"|".join(parts) + rb"|[\s\S]|\Z)", re.MULTILINE)


def tokens(end: str, source: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield the start and end of each comment or string, and whether it is a comment."""
    groups = _pattern(end).groupindex
    for token in _pattern(end).finditer(source):
        for name in groups:
            if name in ("text", "comment") and token.start(name) >= 0:
                yield (*token.span(name), name == "comment")
