"""Calls that widen the kernel's surface are refused, by their numbers on x86_64."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def f(host):
    if os.uname().machine != "x86_64":
        return []
    found = []
    for name, number, *arguments in (
        ("unshare user", 272, 0x10000000),
        ("unshare mount", 272, 0x20000),
        ("mount", 165, b"none", b"/", b"tmpfs", 0, 0),
        ("setns", 308, 0, 0),
        ("bpf", 321, 0, 0, 0),
        ("io_uring_setup", 425, 1, ctypes.create_string_buffer(120)),
        ("userfaultfd", 323, 0),
        ("keyctl", 250, 0, -3, 1),
        ("add_key", 248, b"user", b"left", b"x", 1, -3),
        ("shmget", 29, 0x1234, 4096, 0o1666),
        ("msgget", 68, 0x1234, 0o1666),
        ("mq_open", 240, b"left", 0o102, 0o666, 0),
        ("clone user", 56, 0x10000000 | 17, 0, 0, 0, 0),
        (
            "perf_event_open",
            298,
            ctypes.create_string_buffer(b"\0" * 4 + b"\x80", 128),
            0,
            -1,
            -1,
            0,
        ),
        ("open_by_handle_at", 304, -100, ctypes.create_string_buffer(16), 0),
        ("personality", 135, 0x0040000),
        ("memfd_secret", 447, 0),
        ("syslog", 103, 3, ctypes.create_string_buffer(64), 64),
    ):
        words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
        result = libc.syscall(ctypes.c_long(number), *words)
        if name.startswith("clone") and result == 0:
            os._exit(0)
        if result >= 0:
            found.append(f"!{name}")
    return found
