"""No result is unpacked: a gigabyte that is sent as a megabyte."""

import zlib

SECONDS = 4.0


def f(host):
    packer = zlib.compressobj(9)
    block = b"\0" * (1 << 20)
    packed = b"".join(packer.compress(block) for _ in range(256)) + packer.flush()
    return packed
