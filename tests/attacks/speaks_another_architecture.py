"""The filter also covers the system calls of 32 bits, entered by machine code."""

import ctypes
import mmap
import os


def f(host):
    if os.uname().machine != "x86_64":
        return []
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    unshare, user = (310).to_bytes(4, "little"), (0x10000000).to_bytes(4, "little")
    # push rbx; mov eax, 310; mov ebx, CLONE_NEWUSER; int 0x80; pop rbx; ret
    page.write(b"\x53\xb8" + unshare + b"\xbb" + user + b"\xcd\x80\x5b\xc3")
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return ["!unshare by its 32-bit number"] if call() == 0 else []
