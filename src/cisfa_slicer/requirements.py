"""What the jobs need in Slicer's Python: what is missing, asking, installing, and saying what went wrong.

Looked up with importlib.metadata, never by importing torch into Slicer's process. torch comes from Slicer's PyTorch
extension, which finds the build for the graphics card, everything else from ``slicer.packaging``; a hospital without a
network names a folder of wheels instead.
"""

import importlib
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import slicer

from cisfa.errors import CisfaError

FILE = Path(__file__).with_name("requirements.txt")
# for jobs that train, too
TRAINING_FILE = Path(__file__).with_name("requirements-training.txt")
# for jobs that write DICOM segmentations, and for those that send them to a PACS
DICOM_FILE = Path(__file__).with_name("requirements-dicom.txt")
PACS_FILE = Path(__file__).with_name("requirements-pacs.txt")
TORCH = "torch"
REQUESTER = "CISFA"

# unpacked, with what it brings along; CUDA's libraries are most of it
_NEEDED_BYTES = {True: 7 << 30, False: 300 << 20}
# torch's longest file names, below the folder of the packages
_LONGEST_NAME_BELOW = 140
_LONGEST_PATH = 260


class RequirementsError(CisfaError):
    """Something that the jobs need is missing and was not installed."""


@dataclass(frozen=True)
class Requirement:
    """A package that the jobs need and that this Python does not have.

    Attributes:
        name: As pip knows it.
        minimum: The oldest version that will do.
        installed: The version that is there, too old; None when there is none.
    """

    name: str
    minimum: str
    installed: str | None = None

    @property
    def specifier(self) -> str:
        """As pip reads it: ``torch>=2.8``."""
        return f"{self.name}>={self.minimum}"

    def __str__(self) -> str:
        """For the user."""
        return self.name if self.installed is None else f"{self.name} ({self.installed} is too old)"


def missing_requirements(file: Path = FILE) -> tuple[Requirement, ...]:
    """What has to be installed or renewed before a job can run in Slicer's Python."""
    importlib.invalidate_caches()
    found = []
    for name, minimum in _wanted(file):
        installed = _installed_version(name)
        if installed is None and _can_be_imported(name):
            continue  # Slicer's own builds of SimpleITK and others may come without metadata
        if installed is None or _numbers(installed) < _numbers(minimum):
            found.append(Requirement(name, minimum, installed))
    return tuple(found)


def ensure_requirements(ask: Callable[[str], bool], *, wheel_folder: str = "", file: Path = FILE) -> None:
    """Install what is missing, after asking.

    Args:
        ask: Shows a question and returns True for yes.
        wheel_folder: Folder with wheels to install from, without any network; empty to use the network.
        file: The requirements.

    Raises:
        RequirementsError: The user said no, or it could not be installed; the message says what to do.
    """
    missing = missing_requirements(file)
    if not missing:
        return
    names = ", ".join(map(str, missing))
    needs_torch = any(each.name == TORCH for each in missing)
    _require_space(needs_torch)
    _require_short_paths(needs_torch)
    source = f"from the folder {wheel_folder}" if wheel_folder else "from the internet"
    question = f"CISFA needs Python packages that this Slicer lacks: {names}. Install them {source} now?"
    if needs_torch and not wheel_folder:
        question += " PyTorch is large: this may take several minutes."
    if not ask(question):
        raise RequirementsError(f"CISFA cannot work without {names}. Nothing was installed; the next click asks again.")
    if wheel_folder:
        _install_from_folder(missing, Path(wheel_folder))
    else:
        _install_from_network(missing)
    if still := missing_requirements(file):
        raise RequirementsError(
            f"{', '.join(map(str, still))} cannot be found after installing. Restart Slicer and try again."
        )


def require_installed(file: Path = FILE, remedy: str = "install_requirements()") -> None:
    """Ask nobody and install nothing: for scripts.

    Args:
        file: The requirements.
        remedy: The call that installs them.

    Raises:
        RequirementsError: Something is missing.
    """
    if missing := missing_requirements(file):
        raise RequirementsError(
            f"Slicer's Python lacks {', '.join(map(str, missing))}. Call {remedy} of the module's logic once, or click"
            " Segment, Start or Export in its panel, which asks before it installs."
        )


def _wanted(file: Path) -> Iterable[tuple[str, str]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        content = line.partition("#")[0].strip()
        if content:
            name, _, minimum = content.partition(">=")
            yield name, minimum


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _can_be_imported(name: str) -> bool:
    """Looks for the package without importing it; a folder that an uninstaller left behind does not count."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _numbers(version: str) -> tuple[int, ...]:
    """The release's numbers, (2, 13, 0) for 2.13.0+cpu."""
    numbers = []
    for part in version.partition("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _packages_folder() -> Path:
    return Path(sysconfig.get_paths()["purelib"])


def _require_space(needs_torch: bool) -> None:
    folder, needed = _packages_folder(), _NEEDED_BYTES[needs_torch]
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    free = shutil.disk_usage(there).free
    if free < needed:
        raise RequirementsError(
            f"The disk of {folder} has {free / 2**30:.1f} GiB left, and installing needs up to {needed / 2**30:.1f}"
            " GiB. Free some space and try again."
        )


def _require_short_paths(needs_torch: bool) -> None:
    """Windows stops at 260 characters unless it was told otherwise, in the middle of unpacking torch."""
    if not needs_torch or _allows_long_paths():
        return
    folder = _packages_folder()
    if len(str(folder)) + _LONGEST_NAME_BELOW > _LONGEST_PATH:
        raise RequirementsError(
            f"Windows allows paths of {_LONGEST_PATH} characters, and PyTorch's files in {folder} would have longer"
            " ones. Let an administrator set LongPathsEnabled to 1 (in the registry under"
            r" HKLM\SYSTEM\CurrentControlSet\Control\FileSystem), or install Slicer in a shorter folder."
        )


if sys.platform == "win32":

    def _allows_long_paths() -> bool:
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
                return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
        except OSError:
            return False

else:

    def _allows_long_paths() -> bool:
        return True


def _install_from_folder(missing: tuple[Requirement, ...], folder: Path) -> None:
    if not any(folder.glob("*.whl")):
        raise RequirementsError(
            f"{folder} holds no wheels (*.whl). Fill it on a computer with a network and the same system and Python"
            f" {sys.version_info[0]}.{sys.version_info[1]}: python -m pip download --dest FOLDER"
            f" {' '.join(each.specifier for each in missing)}"
        )
    wanted = [each.specifier for each in missing]
    _run_pip(
        lambda: slicer.util.pip_install(["--no-index", "--find-links", str(folder), *wanted]), missing, str(folder)
    )


def _install_from_network(missing: tuple[Requirement, ...]) -> None:
    torch = [each for each in missing if each.name == TORCH]
    others = [each for each in missing if each.name != TORCH]
    if torch:
        logic, version = _pytorch_logic(), f">={torch[0].minimum}"
        _run_pip(lambda: logic.installTorch(torchVersionRequirement=version), torch, "the internet")
    if others:
        _run_pip(lambda: _install_others([each.specifier for each in others]), others, "the internet")


def _pytorch_logic() -> Any:
    """The PyTorch extension's logic.

    Raises:
        RequirementsError: That extension is not installed.
    """
    try:
        from PyTorchUtils import PyTorchUtilsLogic
    except ImportError as error:
        raise RequirementsError(
            "PyTorch is installed through Slicer's extension PyTorch, which is missing. Open the Extensions Manager,"
            " install PyTorch, restart Slicer and try again; or name a folder of wheels under Advanced."
        ) from error
    return PyTorchUtilsLogic()


def _install_others(specifiers: list[str]) -> None:
    if importlib.util.find_spec("slicer.packaging") is None:  # before Slicer 5.11
        slicer.util.pip_install(specifiers)
        return
    packaging = importlib.import_module("slicer.packaging")
    # asked already, and in one question
    packaging.pip_ensure(specifiers, prompt_install=False, requester=REQUESTER)


def _run_pip(install: Callable[[], object], missing: Iterable[Requirement], source: str) -> None:
    names = ", ".join(each.name for each in missing)
    try:
        install()
    except (subprocess.CalledProcessError, RuntimeError, OSError, ImportError) as error:
        raise RequirementsError(
            f"{names} could not be installed from {source} ({error}). What pip said is in Slicer's log. Check the"
            " network; behind a proxy, set the variable HTTPS_PROXY before starting Slicer; without a network, choose"
            " a folder of wheels under Advanced. Then try again."
        ) from error
