"""Starts a program from an image: `begin.py IMAGE PROGRAM ARGUMENT...`; if that is not possible, the program itself.

This process becomes the image. Its child stops it, gives it the image's memory and registers, and ends. That needs no
right, and nothing changes that the kernel keeps of the process: unit, account, limits, filters, descriptors.
"""

import _signal  # type: ignore[import-not-found]  # the module signal takes longer to import than all others here
import ctypes
import fcntl
import marshal
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from class_warm.areas import NoImage, identity, opened
from class_warm.becoming import Busy, Gone, Occupied, become, strings
from class_warm.image import Image, read
from class_warm.seal import check
from class_warm.tracing import Traced

#: The image reads its order here. This program's descriptors come after it.
ORDER = 200
#: Times that this program starts itself again, because its memory was where the image's must be.
TRIES = 5
TRIED = "COURSEHUB_WARM_TRIED"
#: Seconds for each of the two steps that may wait. Then the start is an ordinary one.
PATIENCE = 15
#: The only argument of a program that is tried and not run, while an image is made and has no seal yet.
TRIAL = "--trial"
PR_SET_NAME, PR_SET_PTRACER = 15, 0x59616D61
#: How the child ended.
DONE, AGAIN, NOT_DONE = 0, 1, 2


def main() -> None:
    """Start the program."""
    path, *program = sys.argv[1:]
    tried = int(os.environ.pop(TRIED, "0"))
    try:
        _signal.signal(_signal.SIGALRM, _too_late)
        _signal.alarm(PATIENCE)
        start(path, program)
    except Occupied:
        if tried < TRIES:
            os.environ[TRIED] = str(tried + 1)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
        why = "its memory is occupied"
    except Exception as problem:
        why = str(problem) or type(problem).__name__
    _signal.alarm(0)
    print(f"coursehub: an ordinary start of {program[0]}: {why}", file=sys.stderr)
    os.execv(program[0], program)  # noqa: S606


def _too_late(*_: object) -> None:
    raise TimeoutError("it took too long")


def start(path: str, program: list[str]) -> None:
    """Become the image. Raises NoImage, OSError, Occupied: then nothing has changed."""
    itself = _above(opened(path))
    if program[1:] != [TRIAL]:
        check(path, itself, os.path.dirname(os.path.dirname(program[0])))
    image = read(itself)
    image.check(os.environ)
    if image.pid == os.getpid():
        # OpenSSL and others know a copy of a process by its number.
        raise NoImage("the image has this number")
    files = [itself, *mapped(image)]
    this, environment = os.getpid(), dict(os.environ)
    begun, begin = (_above(end) for end in os.pipe())
    helper = os.fork()
    if not helper:
        # If this process fails before it is ready, nothing comes.
        os.close(begin)
        if os.read(begun, 1) != b".":
            os._exit(NOT_DONE)
        os._exit(_help(this, image, files, strings(program), strings([f"{n}={v}" for n, v in environment.items()])))
    order = {"argv": program, "environment": environment, "helper": helper, "last": max(*files, begun, begin)}
    _give(marshal.dumps(order))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PTRACER, helper, 0, 0, 0)
    libc.prctl(PR_SET_NAME, os.path.basename(program[0]).encode(), 0, 0, 0)
    before = _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    # The helper has a limit of its own, and the handler is elsewhere in the image.
    _signal.alarm(0)
    _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    os.write(begin, b".")
    # From here the image goes on, or the helper says why not.
    _, status = os.waitpid(helper, 0)
    _signal.signal(_signal.SIGINT, before)
    if os.waitstatus_to_exitcode(status) == AGAIN:
        raise Occupied
    raise NoImage("its memory could not be taken over")


def mapped(image: Image) -> list[int]:
    """Open the files of which the image maps parts. Raises NoImage if one was replaced, OSError."""
    found = []
    for path, was in image.files:
        found.append(_above(opened(path)))
        if identity(found[-1]) != was:
            raise NoImage(f"{path} was replaced")
    return found


def _help(pid: int, image: Image, files: list[int], argv: bytes, environment: bytes) -> int:
    _signal.alarm(PATIENCE)
    try:
        while True:
            with Traced(pid) as process:
                try:
                    become(process, image, files, argv, environment)
                    return DONE
                except Busy:
                    pass
                except Gone as problem:
                    print(f"coursehub: a start from an image failed: {problem}", file=sys.stderr)
                    os.kill(pid, _signal.SIGKILL)
                    return DONE
            time.sleep(0.001)
    except Occupied:
        return AGAIN
    except Exception as problem:
        print(f"coursehub: {problem}", file=sys.stderr)
        return NOT_DONE


def _give(order: bytes) -> None:
    """Put the order where the image reads it."""
    file = os.memfd_create("order")
    os.write(file, order)
    os.lseek(file, 0, os.SEEK_SET)
    os.dup2(file, ORDER, inheritable=False)
    os.close(file)


def _above(descriptor: int) -> int:
    """Return a copy of a descriptor behind ORDER; close the one that was given."""
    found = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, ORDER + 1)
    os.close(descriptor)
    return found


if __name__ == "__main__":
    main()
