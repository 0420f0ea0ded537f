"""The system calls that no candidate may make, as a filter in classic BPF.

The filter lists forbidden calls, not allowed ones: candidates are arbitrary programs with arbitrary
libraries, and namespaces, Landlock and a powerless uid confine them too. Forbidden are calls that
widen the kernel's surface (namespaces, mounts, bpf, io_uring, keys), that reach into other
processes, and whose objects outlive the process (System V IPC, POSIX queues).

The format is that of `struct sock_filter`: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from sandbox.kernel import (
    MACHINE,
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
)

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

#: name: (number on x86_64, number on aarch64); None: the machine lacks the call.
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    "perf_event_open": (298, 241),
    # unmapped memory: a page in a pipe keeps a whole huge page
    "vmsplice": (278, 75),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "sethostname": (170, 161),
    "setdomainname": (171, 162), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # large or privileged parts of the kernel
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "syslog": (103, 116), "vhangup": (153, 58), "lookup_dcookie": (212, 18), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "uselib": (134, None),
    "personality": (135, 92), "memfd_secret": (447, 447),
    # the clock
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    # objects that outlive a process
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}  # fmt: skip
_CLONE, _CLONE3, _SOCKET, _IOCTL, _FCNTL = (56, 220), (435, 435), (41, 198), (16, 29), (72, 25)
#: Signals by pid. They are refused only where neither a namespace nor Landlock restricts them; then
#: even abort() ends in a fault, because tgkill reaches every process of the same user.
_SIGNALS = {"kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
            "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
            "pidfd_send_signal": (424, 424)}  # fmt: skip

#: Changes of files and processes of the same user, which Landlock does not restrict.
_PRETENDED = {"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
              "fchmodat2": (452, 452), "utime": (132, None), "utimes": (235, None),
              "futimesat": (261, None), "utimensat": (280, 88)}  # fmt: skip
_OF_THE_SAME_USER = {"setpriority": (141, 140), "ioprio_set": (251, 30),
                     "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
                     "sched_setattr": (314, 274), "truncate": (76, 45), "chown": (92, None),
                     "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
                     "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
                     "removexattr": (197, 14), "lremovexattr": (198, 15),
                     "fremovexattr": (199, 16)}  # fmt: skip
_PRLIMIT, _AFFINITY = (302, 261), (203, 122)

_NAMESPACES = NEWNS | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | NEWCGROUP | NEWTIME
_AF_UNIX = 1
#: TIOCSTI types on a terminal; FIOSETOWN and SIOCSPGRP do what F_SETOWN does.
_REQUESTS = (0x5412, 0x8901, 0x8902)
#: F_SETOWN, F_SETSIG and F_SETOWN_EX have the kernel send any signal to any process of the user;
#: a lease (F_SETLEASE) makes others that open the file wait.
_COMMANDS = (8, 10, 15, 1024)
_ALLOW, _KILL, _ERRNO, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000, 1, 38

_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data, little-endian


def _step(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, operand)


def _refuse(number: int | None, errno: int) -> bytes:
    if number is None:
        return b""
    return _step(_EQUAL, number, 0, 1) + _step(_RETURN, _ERRNO | errno)


def _refuse_by_argument(number: int, argument: int, test: bytes) -> bytes:
    """Refuse a call unless `test` of one argument skips a step."""
    body = _step(_LOAD, _ARGUMENTS + 8 * argument) + test + _step(_RETURN, _ERRNO | _EPERM)
    allow = _step(_RETURN, _ALLOW)
    return _step(_EQUAL, number, 0, 4) + body + allow


def _refuse_values(number: int, argument: int, values: Sequence[int]) -> bytes:
    """Refuse a call if an argument has one of these values."""
    tests = [_step(_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values)]
    body = [_step(_LOAD, _ARGUMENTS + 8 * argument), *tests]
    body += [_step(_RETURN, _ALLOW), _step(_RETURN, _ERRNO | _EPERM)]
    return _step(_EQUAL, number, 0, len(body)) + b"".join(body)


def build_filter(
    *, network: bool, local: bool = True, signals: bool = True, shares_user: bool = False
) -> bytes:
    """Return the filter as an array of `struct sock_filter`.

    Args:
        network: allow sockets of every family but AF_UNIX.
        local: allow sockets of AF_UNIX; pairs of them are always allowed.
        signals: allow signals to other processes.
        shares_user: other processes and files belong to the same user. Then calls that change
            limits of processes or owners and attributes of files are refused. Changes of mode and
            time do nothing and report success, because every copy of a file makes one.

    Raises:
        OSError: the system calls of this machine are not known.
    """
    if MACHINE not in _AUDIT:
        raise OSError(38, f"no filter of system calls is known for {MACHINE}")
    this = 0 if MACHINE == "x86_64" else 1
    parts = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _AUDIT[MACHINE], 1, 0) + _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if this == 0:  # the x32 numbers reach the same calls
        parts.append(_step(_AT_LEAST, 0x40000000, 0, 1) + _step(_RETURN, _KILL))
    parts += [_refuse(numbers[this], _EPERM) for numbers in _FORBIDDEN.values()]
    if not signals:
        parts += [_refuse(numbers[this], _EPERM) for numbers in _SIGNALS.values()]
    if shares_user:
        parts += [_refuse(numbers[this], 0) for numbers in _PRETENDED.values()]
        parts += [_refuse(numbers[this], _EPERM) for numbers in _OF_THE_SAME_USER.values()]
        for call in (_PRLIMIT, _AFFINITY):
            parts.append(_refuse_by_argument(call[this], 0, _step(_EQUAL, 0, 1, 0)))  # 0: its own
    # The filter cannot read behind clone3's pointer; without clone3 libc falls back to clone.
    parts.append(_refuse(_CLONE3[this], _ENOSYS))
    parts.append(_refuse_by_argument(_CLONE[this], 0, _step(_BITS, _NAMESPACES, 0, 1)))
    parts.append(_refuse_values(_IOCTL[this], 1, _REQUESTS))
    parts.append(_refuse_values(_FCNTL[this], 1, _COMMANDS))
    if not network and not local:
        parts.append(_refuse(_SOCKET[this], _EPERM))
    elif not network:
        parts.append(_refuse_by_argument(_SOCKET[this], 0, _step(_EQUAL, _AF_UNIX, 1, 0)))
    elif not local:
        parts.append(_refuse_by_argument(_SOCKET[this], 0, _step(_EQUAL, _AF_UNIX, 0, 1)))
    return b"".join([*parts, _step(_RETURN, _ALLOW)])
