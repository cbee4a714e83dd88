"""What this computer has: packages, devices that really compute, memory. For ``cisfa doctor``."""

import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

EVERYTHING = "everything"
TRAINING = "training, evaluation and reports"
DICOM = "writing DICOM segmentations"
PACS = "reading from and sending to a PACS"

# used where the package's own metadata is absent, as in a 3D Slicer extension, which is copied and not pip-installed
CORE_PACKAGES = ("torch", "filelock", "numpy", "scipy", "SimpleITK", "nibabel", "safetensors", "pydicom")
OPTIONAL_PACKAGES = {
    TRAINING: ("monai", "matplotlib", "tensorboardX"),
    DICOM: ("highdicom",),
    PACS: ("dicomweb-client", "pynetdicom", "keyring"),
}

_NEEDED_FOR = {None: EVERYTHING, "training": TRAINING, "dicom": DICOM, "pacs": PACS}


@dataclass(frozen=True)
class Package:
    """A Python package that this one uses.

    Attributes:
        name: As pip knows it.
        needed_for: :data:`EVERYTHING`, or a key of :data:`OPTIONAL_PACKAGES`.
        installed: Its version; None when it is missing.
        minimum: The oldest version that will do; None when not known.
        is_good: True when it is there and not too old.
    """

    name: str
    needed_for: str
    installed: str | None
    minimum: str | None
    is_good: bool


@dataclass(frozen=True)
class Device:
    """Something that computes.

    Attributes:
        name: torch's word for it ("cpu", "cuda:0", "mps").
        description: The model, its capability, its memory or threads.
        fault: Why a small computation on it failed; None when it gave the right result.
    """

    name: str
    description: str
    fault: str | None


def packages() -> Iterator[Package]:
    """The packages that this one needs, installed or not."""
    for name, minimum, needed_for in _requirements():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = None
        is_good = installed is not None and (minimum is None or _numbers(installed) >= _numbers(minimum))
        yield Package(name, needed_for, installed, minimum, is_good)


def devices() -> Iterator[Device]:
    """Every device that torch can compute on, tried out; the CPU comes first.

    Raises:
        ImportError: torch is not installed.
        OSError: A library of torch's is missing or broken.
    """
    import torch

    from cisfa.inference.device import fault_of

    capability = torch.backends.cpu.get_cpu_capability()
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    yield Device("cpu", f"{capability}, {torch.get_num_threads()} threads, torch built {build}", fault_of("cpu"))
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        description = f"{card.name}, {gib(card.total_memory)}, compute capability {card.major}.{card.minor}"
        yield Device(f"cuda:{index}", description, fault_of(f"cuda:{index}"))
    if torch.backends.mps.is_available():
        yield Device("mps", "Apple's graphics processor", fault_of("mps"))


def memory_bytes() -> dict[str, int | None]:
    """Total and free memory (RAM); None where the system does not tell without psutil."""
    try:
        import psutil
    except ImportError:
        return _memory_without_psutil()
    memory = psutil.virtual_memory()
    return {"total": memory.total, "free": memory.available}


def gib(size_bytes: int | None) -> str:
    """A size for a person."""
    return "not known" if size_bytes is None else f"{size_bytes / 2**30:.1f} GiB"


def last_line(error: BaseException) -> str:
    """An error's last line, where libraries say what happened; never a path of this computer's user."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return text.replace(str(Path.home()), "~")


def system_name() -> str:
    """The operating system and its version, but not the computer's name."""
    return f"{platform.system()} {platform.release()} ({platform.machine()})"


def _requirements() -> Iterator[tuple[str, str | None, str]]:
    """Name, minimum version and purpose of what the package's metadata asks for; without what only tests need."""
    try:
        lines = metadata.requires("cisfa") or []
    except metadata.PackageNotFoundError:
        yield from ((name, None, EVERYTHING) for name in CORE_PACKAGES)
        for needed_for, names in OPTIONAL_PACKAGES.items():
            yield from ((name, None, needed_for) for name in names)
        return
    for line in lines:  # such as: monai>=1.5; extra == "training"
        requirement, _, condition = line.partition(";")
        name = re.split(r"[^\w.-]", requirement.strip())[0]
        minimum = re.search(r">=\s*([\d.]+)", requirement)
        extra = re.search(r"extra\s*==\s*['\"](\w+)", condition)
        purpose = _NEEDED_FOR.get(extra[1] if extra else None)
        if purpose is not None:
            yield name, minimum[1] if minimum else None, purpose


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers: (2, 13) for 2.13.0+cpu. Trailing zeros are left out, since 2.0 is 2.0.0."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


if sys.platform == "win32":

    def _memory_without_psutil() -> dict[str, int | None]:
        import ctypes

        class Status(ctypes.Structure):
            """MEMORYSTATUSEX of the Windows API."""

            _fields_ = (
                ("length", ctypes.c_ulong),
                ("load_percent", ctypes.c_ulong),
                *((name, ctypes.c_ulonglong) for name in ("total", "free", "c", "d", "e", "f", "g")),
            )

        status = Status(length=ctypes.sizeof(Status))
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return {"total": None, "free": None}
        return {"total": int(status.total), "free": int(status.free)}

else:

    def _memory_without_psutil() -> dict[str, int | None]:
        sizes: dict[str, int | None] = {"total": None, "free": None}
        for name, key in (("total", "SC_PHYS_PAGES"), ("free", "SC_AVPHYS_PAGES")):
            if key in os.sysconf_names:  # macOS does not tell what is free
                sizes[name] = os.sysconf(key) * os.sysconf("SC_PAGE_SIZE")
        return sizes
