"""Messages between host, runner and candidate: frames, and the values inside them.

A frame is two lengths, a JSON header and a body of raw bytes. A value becomes a JSON tree and a
row of buffers: numbers, short strings and lists stand in the tree as they are, everything else is
an object with its kind under "t"; bytes, arrays and long strings lie in the body, in the order in
which the tree names them. Nothing is pickled, so reading a frame runs no code of the sender.

Both sides use this file, and each treats its input as hostile: lengths are checked before memory is
allocated or text parsed, and malformed values raise `WireError`.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

_JSON = json.JSONEncoder(separators=(",", ":"))
_LENGTHS = struct.Struct(">IQ")  # bytes of the header, bytes of the body
_DEPTH = 64  # nesting of values
_NODES = 1 << 20  # items of one value outside its arrays: parsing more takes seconds
_LONG = 4096  # characters from which a string goes into the body
_LARGE = 1 << 15  # bytes from which copying costs more than another piece
_AT_ONCE = 64  # pieces written by one call
_PIECE = 1 << 16  # bytes read at once where no body is being filled
_INT64 = 1 << 63
_DTYPES = frozenset(
    ["|b1", "|i1", "|u1"]
    + [f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)]
    + ["<f2", "<f4", "<f8", "<c8", "<c16"]
)
#: torch's dtype -> bytes of an element.
_TENSORS = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
}  # fmt: skip


class WireError(ValueError):
    """The bytes read are not a valid frame or value."""


class UnsupportedValueError(TypeError):
    """A value of this type cannot be sent; the message says which and why."""


# --- frames ---------------------------------------------------------------------------------------


def frame(header: dict[str, Any], *buffers: Buffer) -> list[Buffer]:
    """Return the bytes of one frame, in pieces; the buffers together are its body.

    Small ones are joined, large ones are not copied.
    """
    text = _JSON.encode(header).encode("ascii")
    pieces: list[Buffer] = []
    small: list[Buffer] = [_LENGTHS.pack(len(text), sum(map(len, buffers))), text]
    for buffer in buffers:
        if len(buffer) < _LARGE:
            small.append(buffer)
        else:
            pieces += [b"".join(small), buffer]
            small.clear()
    return [*pieces, b"".join(small)] if small else pieces


class Frames:
    """Takes bytes in pieces of any size and gives back whole frames.

    Args:
        limit: most bytes of one frame, header and body together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()  # bytes outside bodies
        self._header: dict[str, Any] | None = None  # of the frame whose body is being filled
        self._body = bytearray()
        self._filled = 0

    def feed(self, piece: Buffer) -> None:
        """Add bytes that were read."""
        if self._header is not None:
            taken = self._fill(piece)
            piece = memoryview(piece)[taken:]
        self._pending += piece

    def read(self, fd: int) -> int:
        """Read once from a descriptor, after `take` found nothing; return the number of bytes."""
        if self._header is None:
            piece = os.read(fd, _PIECE)
            self._pending += piece
            return len(piece)
        size = os.readv(fd, [memoryview(self._body)[self._filled :]])
        self._filled += size
        return size

    def take(self) -> tuple[dict[str, Any], bytearray] | None:
        """Return the next frame, or None until more has been read.

        Raises:
            WireError: the frame is too large, or its header is not a JSON object.
        """
        if self._header is None:
            self._header = self._take_header()
        if self._header is None or self._filled < len(self._body):
            return None
        message = self._header, self._body
        self._header = None
        return message

    def _take_header(self) -> dict[str, Any] | None:
        if len(self._pending) < _LENGTHS.size:
            return None
        head, body = _LENGTHS.unpack_from(self._pending)
        if head + body > self._limit:
            raise WireError(f"a message of {head + body} bytes; the limit is {self._limit}")
        end = _LENGTHS.size + head
        if len(self._pending) < end:
            return None
        text = bytes(self._pending[_LENGTHS.size : end])
        if text.count(b",") > _NODES:
            raise WireError(f"more than {_NODES} items in one message; use an array")
        try:
            header = json.loads(str(text, "utf-8"))
        except (ValueError, RecursionError) as error:
            raise WireError(f"a message that is not JSON: {error}") from None
        if type(header) is not dict:
            raise WireError("a message that is not a JSON object")
        self._body, self._filled = bytearray(body), 0
        with memoryview(self._pending) as pending:
            end += self._fill(pending[end:])
        del self._pending[:end]
        return header

    def _fill(self, piece: Buffer) -> int:
        """Move the body's bytes of a piece into the body; return their number."""
        size = min(len(piece), len(self._body) - self._filled)
        self._body[self._filled : self._filled + size] = memoryview(piece)[:size]
        self._filled += size
        return size


class Outbox:
    """A queue of bytes for a descriptor that may not take all at once.

    Args:
        fd: a descriptor; a blocking one takes all.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pieces: deque[Buffer] = deque()
        self.size = 0  # bytes queued

    def add(self, pieces: Iterable[Buffer]) -> None:
        """Append to the queue."""
        for piece in pieces:
            self._pieces.append(piece)
            self.size += len(piece)

    def flush(self) -> None:
        """Write as much as the descriptor takes.

        Raises:
            OSError: the other end is closed.
        """
        while self.size:
            try:
                sent = os.writev(self._fd, list(islice(self._pieces, _AT_ONCE)))
            except BlockingIOError:
                return
            self.size -= sent
            while sent:
                first = self._pieces.popleft()
                if len(first) > sent:
                    self._pieces.appendleft(memoryview(first)[sent:])
                sent -= min(sent, len(first))


# --- values ---------------------------------------------------------------------------------------


def encode(value: Any) -> tuple[Any, list[Buffer]]:
    """Return a value as a JSON tree and the buffers that it names.

    Tuples stay tuples, numpy's scalars become Python's, arrays lose their memory order, tensors
    their device and their history. A large array's buffer is the array's memory: send it before the
    array changes.

    Raises:
        UnsupportedValueError: something in it is not None, bool, int, float, str, bytes, a numpy
            array or a torch tensor of numbers, or a list, tuple or string-keyed dict of these; or
            it is nested too deeply.
    """
    buffers: list[Buffer] = []
    return _encode(value, buffers, _DEPTH), buffers


def _encode(value: Any, buffers: list[Buffer], depth: int) -> Any:  # noqa: C901
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -_INT64 <= value < _INT64 else {"t": "int", "v": hex(value)}
    if kind is str:
        if len(value) < _LONG:
            return value
        return _buffer("str", value.encode("utf-8", "surrogatepass"), buffers)
    if not depth:
        raise UnsupportedValueError(f"values nested more than {_DEPTH} deep (or inside themselves)")
    if kind is list:
        return [_encode(item, buffers, depth - 1) for item in value]
    if kind is tuple:
        return {"t": "tuple", "v": [_encode(item, buffers, depth - 1) for item in value]}
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise UnsupportedValueError(
                    f"a dict with a key of type {_name(key)}; keys must be str"
                )
        return {"t": "dict", "v": {k: _encode(v, buffers, depth - 1) for k, v in value.items()}}
    if kind is bytes or kind is bytearray:
        return _buffer("bytes", bytes(value), buffers)
    return _encode_other(value, buffers, depth)


def _encode_other(value: Any, buffers: list[Buffer], depth: int) -> Any:
    numpy = sys.modules.get("numpy")  # if it was never imported, there are no arrays
    if numpy is not None and isinstance(value, numpy.ndarray):
        array = numpy.asarray(value)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if array.dtype.str not in _DTYPES:
            raise UnsupportedValueError(
                f"an array of dtype {array.dtype}; only plain numbers can be sent"
            )
        content = array.tobytes() if array.nbytes < _LARGE else array.reshape(-1).view("u1").data
        tree = _buffer("array", content, buffers)
        tree["d"], tree["s"] = array.dtype.str, list(array.shape)
        return tree
    if numpy is not None and isinstance(value, numpy.generic):
        value = value.item()
        if type(value) in (bool, int, float, str, bytes):
            return _encode(value, buffers, depth)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _encode_tensor(torch, value, buffers)
    # Subclasses (IntEnum, namedtuple, OrderedDict, ...) are sent as their base.
    bases: tuple[Any, ...] = (int, float, str, bytes, list, tuple, dict)
    for base in bases:
        if isinstance(value, base):
            return _encode(base(value), buffers, depth)
    raise UnsupportedValueError(
        f"a value of type {_name(value)}; allowed are None, bool, int, float, str, bytes, numpy "
        "arrays, torch tensors, and lists, tuples and string-keyed dicts of them"
    )


def _encode_tensor(torch: Any, value: Any, buffers: list[Buffer]) -> Any:
    dtype = str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided or dtype not in _TENSORS:
        raise UnsupportedValueError(
            f"a tensor of layout {value.layout} and dtype {value.dtype}; only dense ones of plain "
            "numbers can be sent"
        )
    flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten()
    # By its address: torch exports memory through numpy, which has no bfloat16.
    content = ctypes.string_at(flat.data_ptr(), flat.nbytes) if flat.nbytes else b""
    tree = _buffer("tensor", content, buffers)
    tree["d"], tree["s"] = dtype, list(value.shape)
    return tree


def _name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _buffer(kind: str, content: Buffer, buffers: list[Buffer]) -> dict[str, Any]:
    buffers.append(content)
    return {"t": kind, "n": len(content)}


def decode(tree: Any, body: bytes | bytearray) -> Any:
    """Return the value that `encode` turned into this tree and body.

    An array that fills most of a writable body becomes a view of it, not a copy.

    Raises:
        WireError: the tree is malformed, or the body has not exactly the buffers that it names.
    """
    decoder = _Decoder(body)
    value = decoder.decode(tree, _DEPTH)
    if decoder.position != len(body):
        raise WireError(f"{len(body) - decoder.position} bytes that belong to no buffer")
    return value


class _Decoder:
    def __init__(self, body: bytes | bytearray) -> None:
        self._body = body
        self.position = 0

    def decode(self, tree: Any, depth: int) -> Any:  # noqa: C901 - a case for each kind
        if tree is None or type(tree) in (bool, int, float, str):
            return tree
        if not depth:
            raise WireError(f"values nested more than {_DEPTH} deep")
        if type(tree) is list:
            return [self.decode(item, depth - 1) for item in tree]
        if type(tree) is not dict:
            raise WireError(f"a {type(tree).__name__} in a message")
        match tree:
            case {"t": "tuple", "v": list(items)}:
                return tuple([self.decode(item, depth - 1) for item in items])
            case {"t": "dict", "v": dict(items)}:
                return {key: self.decode(item, depth - 1) for key, item in items.items()}
            case {"t": "int", "v": str(digits)}:
                return _int(digits)
            case {"t": "bytes", "n": int(size)}:
                return bytes(self._take(size))
            case {"t": "str", "n": int(size)}:
                try:
                    return str(self._take(size), "utf-8", "surrogatepass")
                except UnicodeDecodeError as error:
                    raise WireError(f"a string that is not UTF-8: {error}") from None
            case {"t": "array", "n": int(size), "d": str(dtype), "s": list(shape)}:
                return self._array(size, dtype, shape)
            case {"t": "tensor", "n": int(size), "d": str(dtype), "s": list(shape)}:
                return self._tensor(size, dtype, shape)
        raise WireError("an object of unknown kind in a message")

    def _take(self, size: int) -> memoryview:
        if not 0 <= size <= len(self._body) - self.position:
            raise WireError(f"a buffer of {size} bytes that is missing")
        self.position += size
        return memoryview(self._body)[self.position - size : self.position]

    def _array(self, size: int, dtype: str, shape: list[Any]) -> Any:
        if dtype not in _DTYPES:
            raise WireError(f"an array of dtype {dtype[:20]!r}")
        _check_shape(size, int(dtype[2:]), shape)
        import numpy  # only when an array arrives: the guest may never need it

        array = numpy.frombuffer(self._take(size), dtype).reshape(shape)
        return array if self._is_most(size) else array.copy()

    def _tensor(self, size: int, dtype: str, shape: list[Any]) -> Any:
        if dtype not in _TENSORS:
            raise WireError(f"a tensor of dtype {dtype[:20]!r}")
        _check_shape(size, _TENSORS[dtype], shape)
        try:
            import torch
        except ImportError:
            raise WireError("a tensor, and torch is not installed here") from None

        content = self._take(size)
        if not size:
            return torch.empty(shape, dtype=getattr(torch, dtype))
        memory = content if self._is_most(size) else bytearray(content)
        return torch.frombuffer(memory, dtype=getattr(torch, dtype)).reshape(shape)

    def _is_most(self, size: int) -> bool:
        """Can the last buffer's memory be used in place?

        It has to be writable, aligned, and not much smaller than the message that it keeps alive.
        """
        is_first = self.position == size
        return type(self._body) is bytearray and is_first and 2 * size >= len(self._body)


def _check_shape(size: int, itemsize: int, shape: list[Any]) -> None:
    if len(shape) > 32 or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise WireError("an array of impossible shape")
    expected = room = itemsize
    for n in shape:
        expected, room = expected * n, room * (n or 1)
    if expected != size or room >= _INT64:  # numpy checks the size even if a length is 0
        raise WireError(f"an array of shape {shape} with items of {itemsize} bytes in {size} bytes")


def _int(digits: str) -> int:
    try:
        return int(digits, 16)
    except ValueError:
        raise WireError("a malformed integer") from None
