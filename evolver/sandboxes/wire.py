"""The codec, `sandbox/wire.py`, loaded by path, so that both sides run the same file."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from evolver.bundled import bundled

if TYPE_CHECKING:
    from sandbox.wire import (
        Buffer,
        Frames,
        Outbox,
        UnsupportedValueError,
        WireError,
        decode,
        encode,
        frame,
    )
else:
    _spec = importlib.util.spec_from_file_location(__name__, bundled("sandbox") / "wire.py")
    _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    Buffer, Frames, Outbox = _module.Buffer, _module.Frames, _module.Outbox
    WireError, UnsupportedValueError = _module.WireError, _module.UnsupportedValueError
    decode, encode, frame = _module.decode, _module.encode, _module.frame

__all__ = [
    "Buffer",
    "Frames",
    "Outbox",
    "UnsupportedValueError",
    "WireError",
    "decode",
    "encode",
    "frame",
]
