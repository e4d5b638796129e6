"""Starts a command that reaches only the named files, and no network. Linux.

Run by its path, in a process of its own, with the rules as JSON: it confines itself, then becomes
the command. It imports nothing of FedThaw, so that it can run before any bundle's code.

Files: landlock (Linux 5.13), which also keeps the process from tracing others and, from Linux 6.12,
from sending them signals. Network: a seccomp filter (Linux 3.5, x86-64 and 64-bit Arm) that allows
Unix sockets alone. Neither needs privileges, and neither can be undone.
See landlock(7) and seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import stat
import struct
import sys

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FIRST_RIGHTS = (1 << 13) - 1
_RIGHTS_SINCE = {2: 1 << 13, 3: _TRUNCATE, 5: _IOCTL_DEV}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NET_ABI, _ALL_TCP = 4, 3
_SCOPE_ABI, _ALL_SCOPES = 6, 3

# linux/prctl.h, linux/seccomp.h, linux/capability.h
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_DROP_BOUND, _AMBIENT, _CLEAR_ALL = 24, 47, 4
_CAPABILITIES_VERSION = 0x20080522
_KEPT_CAPABILITIES = 0b1111
"""CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER: root reads and writes files as ever."""

# machine -> AUDIT_ARCH of linux/audit.h, number of socket(2)
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425
_X32 = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """The kernel's version of landlock; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(version, 0)


def confine_files(read: list[str], write: list[str], listed: list[str]) -> bool:
    """Let this process read (and run) `read`, change `write`, list `listed`, and no more.

    Paths that do not exist are passed over. False where the kernel has no landlock. OSError.
    """
    version = landlock_version()
    if version == 0:
        return False
    rights = _FIRST_RIGHTS
    for since, more in _RIGHTS_SINCE.items():
        rights |= more if version >= since else 0
    attributes = struct.pack(
        "=QQQ",
        rights,
        _ALL_TCP if version >= _NET_ABI else 0,
        _ALL_SCOPES if version >= _SCOPE_ABI else 0,
    )
    size = 24 if version >= _SCOPE_ABI else 16 if version >= _NET_ABI else 8
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    reading = _EXECUTE | _READ_FILE | _READ_DIR
    for paths, granted in ((read, reading), (write, rights), (listed, _READ_DIR)):
        for path in paths:
            _grant(ruleset, path, granted & rights)
    _require(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)
    return True


def confine_network() -> bool:
    """Let this process make no socket but Unix ones. False on other machines than named above."""
    if not can_confine_network():
        return False
    architecture, socket_number = _MACHINES[platform.machine()]
    allow, refuse = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
    program = [
        (load, 0, 0, 4),  # the architecture; another one has other numbers
        (equal, 1, 0, architecture),
        (answer, 0, 0, refuse | errno.EPERM),
        (load, 0, 0, 0),  # the call's number
        (at_least, 0, 1, _X32),
        (answer, 0, 0, refuse | errno.ENOSYS),
        (equal, 0, 1, _IO_URING_SETUP),  # it can make sockets too
        (answer, 0, 0, refuse | errno.ENOSYS),
        (equal, 1, 0, socket_number),
        (answer, 0, 0, allow),
        (load, 0, 0, 16),  # the first argument, the address family
        (equal, 0, 1, 1),  # AF_UNIX
        (answer, 0, 0, allow),
        (answer, 0, 0, refuse | errno.EACCES),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    filled = Program(len(program), ctypes.addressof(code))
    _require(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _require(_libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(filled), 0, 0))
    return True


def drop_capabilities() -> None:
    """Keep of root's powers only those over files: others see into processes despite landlock."""
    if os.geteuid() != 0:
        return
    for number in range(64):
        if not _KEPT_CAPABILITIES >> number & 1 and _libc.prctl(_DROP_BOUND, number, 0, 0, 0) < 0:
            break  # the kernel knows no more, or they cannot be dropped
    _libc.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    _require(_libc.capget(header, held))
    effective, permitted, *_ = struct.unpack("=6I", held.raw)
    kept = (effective & _KEPT_CAPABILITIES, permitted & _KEPT_CAPABILITIES, 0, 0, 0, 0)
    _require(_libc.capset(header, struct.pack("=6I", *kept)))


def can_confine_network() -> bool:
    """Whether this is a machine whose system calls are known here."""
    return sys.platform == "linux" and platform.machine() in _MACHINES


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= _OF_FILES
        if not rights:
            return
        rule = struct.pack("=Qi", rights, handle)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint32(0))
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    return _require(_libc.syscall(number, *arguments))


def _require(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def main() -> None:
    """`confine.py RULES COMMAND...`: RULES is JSON with `read`, `write` and `listed`: paths."""
    rules, command = json.loads(sys.argv[1]), sys.argv[2:]
    drop_capabilities()
    confine_files(rules["read"], rules["write"], rules["listed"])
    confine_network()
    os.execv(command[0], command)  # noqa: S606 (a list of words, never a shell's)


if __name__ == "__main__":
    main()
