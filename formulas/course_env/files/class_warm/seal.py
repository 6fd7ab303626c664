"""The seal: what root says about an image, in a file beside it.

The image itself is written by a process in which the course's packages ran. If it could say for which environment it
is, a package that the course removed could stay in use.
"""

import marshal
import os

from class_warm.areas import NoImage, identity, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIX = ".seal"
#: Bytes.
LONGEST = 1 << 16


def boot() -> str:
    """Return what is different after each boot. An image is for one boot: the kernel and the processor belong to it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def write(path: str, environment: str, modules: "Sequence[str]") -> None:
    """Seal the image at ``path`` as made now, for an environment, with these modules. Raises NoImage, OSError."""
    descriptor = opened(path)
    try:
        said = (boot(), environment, list(modules), identity(descriptor))
    finally:
        os.close(descriptor)
    with open(f"{path}{SUFFIX}.new", "wb") as file:
        file.write(marshal.dumps(said))
    os.replace(f"{path}{SUFFIX}.new", path + SUFFIX)


def check(path: str, image: int, environment: str) -> list[str]:
    """Return the modules in the image, which is open as ``image``.

    Raises NoImage if it is not for this boot and environment, or was changed after root sealed it; OSError.
    """
    descriptor = opened(path + SUFFIX)
    try:
        said = os.read(descriptor, LONGEST)
    finally:
        os.close(descriptor)
    try:
        of_boot, of_environment, modules, of_image = marshal.loads(said)  # noqa: S302 - from root
    except (EOFError, TypeError, ValueError):
        raise NoImage("the image has no whole seal") from None
    if of_boot != boot():
        raise NoImage("the image is of another boot")
    if of_environment != environment:
        raise NoImage("the image is of another environment")
    if of_image != identity(image):
        raise NoImage("the image is not the one that was sealed")
    return list(modules)
