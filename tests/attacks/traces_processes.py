"""No process can be traced, read or written, the parent included."""

import ctypes
import os


def f(host):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    found = []
    for pid in (host["pid"], os.getppid(), 1, 2):
        if pid in (0, os.getpid()):
            continue
        for request in (16, 0x4206):  # attach, seize
            if libc.ptrace(request, pid, None, None) == 0:
                found.append(f"!traced {pid}")
        buffer = ctypes.create_string_buffer(64)
        vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 64)
        for call in (310, 311):  # process_vm_readv, process_vm_writev
            if libc.syscall(call, pid, vector, 1, vector, 1, 0) >= 0:
                found.append(f"!reached into {pid}")
        for call, flags in ((434, 0),):  # pidfd_open, then a descriptor of its
            handle = libc.syscall(call, pid, flags)
            if handle >= 0 and libc.syscall(438, handle, 3, 0) >= 0:
                found.append(f"!took a descriptor of {pid}")
    return found
