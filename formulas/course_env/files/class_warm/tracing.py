"""Another process of the same account, stopped and controlled by ptrace(2), on x86-64."""

import ctypes
import os

#: The registers in the order of struct user_regs_struct (sys/user.h).
REGISTERS = (
    *(
        "r15",
        "r14",
        "r13",
        "r12",
        "rbp",
        "rbx",
        "r11",
        "r10",
        "r9",
        "r8",
        "rax",
        "rcx",
        "rdx",
        "rsi",
        "rdi",
        "orig_rax",
    ),
    *("rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
#: Where a system call takes its arguments from.
ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
#: The machine instruction "syscall".
SYSCALL = b"\x0f\x05"
#: sys/ptrace.h
SINGLESTEP, GETREGS, SETREGS, DETACH, SEIZE, INTERRUPT, GET_RSEQ = 9, 12, 13, 17, 0x4206, 0x4207, 0x420F
EXITKILL = 0x00100000
#: sys/wait.h: also wait for a process that is not a child.
WALL = 0x40000000
SIGTRAP = 5
#: The value of orig_rax in a process that is in no system call.
NO_SYSTEM_CALL = (1 << 64) - 1

_Registers = ctypes.c_uint64 * len(REGISTERS)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Traced:
    """A process that stands still while the block runs, and goes on afterwards.

    It ends if this program ends within the block. Raises OSError.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._registers = _Registers()
        self._memory = -1

    def __enter__(self) -> "Traced":
        self._ptrace(SEIZE, data=EXITKILL)
        try:
            self._ptrace(INTERRUPT)
            self._wait()
            self._memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        except BaseException:
            # Otherwise the process would end with this one.
            _libc.ptrace(DETACH, self.pid, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._memory)
        self._ptrace(DETACH)

    def registers(self) -> dict[str, int]:
        """Return the values of all registers."""
        self._ptrace(GETREGS, data=ctypes.addressof(self._registers))
        return dict(zip(REGISTERS, self._registers, strict=True))

    def set_registers(self, values: dict[str, int]) -> None:
        """Set all registers."""
        self._registers[:] = [values[name] for name in REGISTERS]
        self._ptrace(SETREGS, data=ctypes.addressof(self._registers))

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes of the process's memory."""
        found = os.pread(self._memory, size, address)
        if len(found) != size:
            raise OSError(f"only {len(found)} of {size} bytes at {address:#x} can be read")
        return found

    def write(self, address: int, content: bytes) -> None:
        """Write into the process's memory."""
        if os.pwrite(self._memory, content, address) != len(content):
            raise OSError(f"{len(content)} bytes at {address:#x} cannot be written")

    def call(self, base: dict[str, int], number: int, *arguments: int) -> int:
        """Let the process make a system call; return its result.

        ``base`` has the registers; at its ``rip`` is a "syscall" instruction. Raises OSError if the call fails.
        """
        values = {**base, "rax": number, "orig_rax": NO_SYSTEM_CALL}
        values.update((name, value % (1 << 64)) for name, value in zip(ARGUMENTS, arguments, strict=False))
        self.set_registers(values)
        self._ptrace(SINGLESTEP)
        self._wait()
        self._ptrace(GETREGS, data=ctypes.addressof(self._registers))
        result = ctypes.c_int64(self._registers[REGISTERS.index("rax")]).value
        if -4096 < result < 0:
            raise OSError(-result, f"system call {number}: {os.strerror(-result)}")
        return result

    def rseq(self) -> tuple[int, int, int]:
        """Return address, size and signature of the process's restartable sequences (rseq(2)); size 0: none."""
        found = (ctypes.c_uint32 * 6)()
        self._ptrace(GET_RSEQ, ctypes.sizeof(found), ctypes.addressof(found))
        return found[0] | found[1] << 32, found[2], found[3]

    def _ptrace(self, request: int, address: int = 0, data: int = 0) -> None:
        if _libc.ptrace(request, self.pid, address, data) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"ptrace {request:#x}: {os.strerror(number)}")

    def _wait(self) -> None:
        _, status = os.waitpid(self.pid, WALL)
        if not os.WIFSTOPPED(status):
            raise OSError(f"process {self.pid} ended")
        if os.WSTOPSIG(status) != SIGTRAP:
            raise OSError(f"process {self.pid} got signal {os.WSTOPSIG(status)}")
