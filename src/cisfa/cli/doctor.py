"""``cisfa doctor``: what this computer has, what is missing, and whether its devices really compute.

What it prints may be pasted into a public report: no path, no user's or computer's name, no value of a variable that
could hold an address or a password.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cisfa
from cisfa.cli import machine
from cisfa.cli.machine import Device, Package, gib
from cisfa.errors import BundleError, CisfaError
from cisfa.events import Report

HELP = "Say what this computer has and what is missing. The answer names no folder and no person: it is safe to paste."

# numbers and switches, whose values explain much and betray nothing
_SHOWN_VARIABLES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTORCH_ALLOC_CONF")
# of these only whether they are set
_HIDDEN_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "SSL_CERT_FILE"),
    *("REQUESTS_CA_BUNDLE", "CISFA_DICOMWEB_USER", "CISFA_DICOMWEB_PASSWORD", "CISFA_DICOMWEB_TOKEN"),
    *("CISFA_DICOMWEB_HOST", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME"),
)


@dataclass(frozen=True)
class Findings:
    """Everything that was found out.

    Attributes:
        versions: Of this package, Python and the system.
        packages: What it needs, installed or not.
        devices: What can compute, the CPU first; empty when torch cannot be imported.
        memory_bytes: "total" and "free"; None when not known.
        free_disk_bytes: For the temporary and the current folder.
        variables: Environment variables; a value only where it cannot be private.
        bundle: What the bundle that was asked for holds; empty when none was, or when it cannot be opened.
        problems: What has to be mended, in sentences.
    """

    versions: dict[str, str]
    packages: tuple[Package, ...]
    devices: tuple[Device, ...]
    memory_bytes: dict[str, int | None]
    free_disk_bytes: dict[str, int]
    variables: dict[str, str]
    bundle: dict[str, str]
    problems: tuple[str, ...]


class DoctorError(CisfaError):
    """Something that is needed is missing or does not work."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--bundle", type=Path, metavar="BUNDLE", help="also check that this model bundle can be opened")


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Print what is there.

    Raises:
        DoctorError: Something that is needed is missing or does not work.
    """
    findings = examine(arguments.bundle)
    print(json.dumps(asdict(findings), indent=2) if arguments.json else in_words(findings))
    if findings.problems:
        raise DoctorError(" ".join(findings.problems))


def examine(bundle_path: Path | None = None) -> Findings:
    """Find everything out.

    Args:
        bundle_path: A model bundle to open as well.
    """
    packages = tuple(machine.packages())
    problems = list(_package_problems(packages))
    devices: tuple[Device, ...] = ()
    try:
        devices = tuple(machine.devices())
    except ModuleNotFoundError:
        pass  # among the missing packages already
    except (ImportError, OSError) as error:
        problems.append(f"torch is installed but cannot be loaded ({machine.last_line(error)}). Install it again.")
    problems += [f"The device {device.name} does not compute: {device.fault}." for device in devices if device.fault]
    bundle: dict[str, str] = {}
    if bundle_path is not None:
        try:
            bundle = _bundle_contents(bundle_path)
        except BundleError as error:
            problems.append(str(error))
    return Findings(
        versions={"cisfa": cisfa.__version__, "Python": _python(), "system": machine.system_name()},
        packages=packages,
        devices=devices,
        memory_bytes=machine.memory_bytes(),
        free_disk_bytes={
            "temporary folder": shutil.disk_usage(tempfile.gettempdir()).free,
            "current folder": shutil.disk_usage(Path.cwd()).free,
        },
        variables=_variables(),
        bundle=bundle,
        problems=tuple(problems),
    )


def in_words(findings: Findings) -> str:
    """The findings as text for a person."""
    sections: dict[str, Iterator[tuple[str, str]]] = {
        "versions": iter(findings.versions.items()),
        "packages": ((package.name, _package_state(package)) for package in findings.packages),
        "devices": ((device.name, f"{device.description}, {_health(device)}") for device in findings.devices),
        "memory (RAM)": ((name, gib(size)) for name, size in findings.memory_bytes.items()),
        "free disk space": ((name, gib(size)) for name, size in findings.free_disk_bytes.items()),
        "environment variables": iter(findings.variables.items()),
        "bundle": iter(findings.bundle.items()),
    }
    lines = []
    for title, rows in sections.items():
        section = [f"  {name:<22} {value}" for name, value in rows]
        lines += [title, *section, ""] if section else []
    lines.append("Something has to be mended." if findings.problems else "Everything that is needed is there.")
    return "\n".join(lines)


def _package_state(package: Package) -> str:
    if package.is_good:
        return package.installed or ""
    wanted = f"{package.minimum} or newer is needed" if package.minimum else "needed"
    return f"{package.installed or 'missing'} ({wanted} for {package.needed_for})"


def _health(device: Device) -> str:
    return f"FAILS: {device.fault}" if device.fault else "works"


def _package_problems(packages: tuple[Package, ...]) -> Iterator[str]:
    # without what training needs the package still segments, so that is no fault
    wanted = [package for package in packages if package.needed_for == machine.EVERYTHING and not package.is_good]
    missing = [package.name for package in wanted if package.installed is None]
    if missing:
        yield f"Missing: {', '.join(missing)}. Install with: python -m pip install cisfa"
    for package in wanted:
        if package.installed is not None:
            yield (
                f"{package.name} {package.installed} is too old: {package.minimum} or newer is needed. Update with:"
                f" python -m pip install --upgrade {package.name}"
            )


def _bundle_contents(path: Path) -> dict[str, str]:
    """What a person asks of a bundle first.

    Raises:
        BundleError: It cannot be opened, or is damaged.
    """
    from cisfa.bundle.bundle_folder import open_bundle

    manifest = open_bundle(path).manifest
    return {
        "name": f"{manifest.name} {manifest.version}",
        "adapts to": manifest.target.modality,
        "organs": ", ".join(organ.name for organ in manifest.organs),
    }


def _python() -> str:
    return f"{platform.python_version()} ({platform.python_implementation()}, {platform.architecture()[0]})"


def _variables() -> dict[str, str]:
    shown = {name: os.environ.get(name, "not set") for name in _SHOWN_VARIABLES}
    # proxies are often given in lower case, and some programs read only that
    hidden = {name: name in os.environ or name.lower() in os.environ for name in _HIDDEN_VARIABLES}
    return shown | {name: "set" if is_set else "not set" for name, is_set in hidden.items()}
