"""Set up, try, check and format this project: ``python3 dev.py demo`` (Windows: ``py dev.py demo``).

Needs nothing but Python. Everything is installed into ``.venv`` beside this file; pip's own settings (proxies, indexes,
``PIP_...`` variables) are respected. This file must stay readable by old Pythons, so that it can say they are too old.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"
DEMO = Path("build", "demo")
DEMO_BUNDLE = Path("CISFASegmentation", "Resources", "CISFASegmentationDemoBundle.zip")
DEMO_TRAINING = Path("build", "demo-bundle")
# milder than the phantoms' default, on which so small a model trained for so short a time does poorly
DEMO_SEVERITY = ("--severity", "0.25")
DEMO_DESCRIPTION = (
    "For the demo: adapted from CT to MR on synthetic phantoms (cisfa phantom, seed 1, severity 0.25) without any MR"
    " label, by `python3 dev.py demo-bundle`. It has never seen a patient and is of no use on one."
)
OLDEST_PYTHON = (3, 11)
EVERYTHING = ("training", "dicom", "pacs", "test")
# what the tests need beside what pip installs
WINDOWS = Path("Testing", "glue", "require_windows.py")
PROGRAMS = Path("Testing", "dicom", "require_programs.py")

# what .venv holds: a line with a hash of what was asked for, and a line with the extras
STAMP = VENV / "installed.txt"
# there while .venv is being made, so that a half-made one is known for what it is
UNFINISHED = VENV / "unfinished.txt"

BUILT = ("build", "dist", "htmlcov", ".coverage", "coverage.xml", "src/cisfa.egg-info")
CACHES = (".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache")


class DevError(Exception):
    """Something on this computer is missing or failed; the message says what to do."""


def setup() -> None:
    """Make .venv with everything that running, training and testing needs."""
    make_environment(*EVERYTHING)
    step("windows without a screen", python("-I", str(WINDOWS)))
    step("programs for DICOM", python("-I", str(PROGRAMS)))
    print(f"Ready: {executable('cisfa')}")


def demo() -> None:
    """Make a synthetic MR case, segment it with the demo model, and score the result."""
    make_environment("training")
    case, segmentation, report = DEMO / "case", DEMO / "segmentation", DEMO / "report"
    cisfa("phantom", case, "--domain", "mr", "--cases", "1", "--seed", "2026", *DEMO_SEVERITY, "--overwrite")
    images = sorted((ROOT / case / "images").glob("*.nii.gz"))
    cisfa(
        *("segment", *(image.relative_to(ROOT) for image in images)),
        *("--bundle", DEMO_BUNDLE, "--output", segmentation, "--overwrite"),
    )
    cisfa(
        *("evaluate", "--predictions", segmentation, "--labels", case / "labels", "--images", case / "images"),
        *("--bundle", DEMO_BUNDLE, "--output", report, "--overwrite"),
    )
    print("\nThe demo is done. Look at:")
    for title, folder, pattern in (
        ("volume", case / "images", "*.nii.gz"),
        ("label map", segmentation, "*.nii.gz"),
        ("report", report, "*.md"),
        ("picture", report, "*.png"),
    ):
        for path in sorted((ROOT / folder).glob(pattern)):
            print(f"  {title:<10} {path}")


def demo_bundle() -> None:
    """Train the demo's bundle anew, from phantoms whose MR labels are never opened; goes on where it was stopped."""
    make_environment("training")
    cases, run = DEMO_TRAINING / "cases", DEMO_TRAINING / "run"
    if not (ROOT / cases).exists():
        cisfa("phantom", cases, "--domain", "both", "--cases", "24", "--seed", "1", *DEMO_SEVERITY)
    resume = ["--resume"] if (ROOT / run / "config.json").exists() else ["--preset", "demo", "--method", "cisfa-plus"]
    cisfa("train", "--source", cases / "ct", "--target", cases / "mr", "--run", run, "--device", "cpu", *resume)
    cisfa(
        *("bundle", "make", run, "--output", DEMO_BUNDLE, "--overwrite", "--licence", "Apache-2.0"),
        *("--name", "Abdomen of phantoms, CT to MR", "--description", DEMO_DESCRIPTION),
    )


def test(*options: str) -> None:
    """Run every check: style, types, layers, then the tests."""
    lint()
    step("windows without a screen", python("-I", str(WINDOWS)))
    step("programs for DICOM", python("-I", str(PROGRAMS)))
    # a process for each core, each with one thread: most of what is tested is too small for more
    # in the order that Testing/conftest.py gives them
    together = ("--numprocesses", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
    step("pytest", python("-m", "pytest", *options, *together), OMP_NUM_THREADS="1")


def coverage() -> None:
    """Run every check, and show which lines no test reaches: takes a third longer."""
    test("--cov", "--cov-report=term")


def lint() -> None:
    """Check style, formatting, types and who imports whom."""
    make_environment(*EVERYTHING)
    step("ruff check", python("-m", "ruff", "check"))
    step("ruff format --check", python("-m", "ruff", "format", "--check"))
    step("mypy", python("-m", "mypy"))
    packages = os.pathsep.join(str(ROOT / folder) for folder in ("src", "CISFASegmentation", "CISFATraining"))
    step("lint-imports", [str(executable("lint-imports"))], PYTHONPATH=packages)


def format_code() -> None:
    """Format the code and sort its imports."""
    make_environment(*EVERYTHING)
    step("ruff check --fix", python("-m", "ruff", "check", "--select", "I", "--fix"))
    step("ruff format", python("-m", "ruff", "format"))


def clean() -> None:
    """Remove what was built and every cache; .venv stays."""
    folders = [
        folder
        for name in ("src", "CISFASegmentation", "CISFATraining", "Testing")
        for folder in (ROOT / name).rglob("__pycache__")
    ]
    for path in [ROOT / name for name in (*BUILT, *CACHES)] + folders:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()


COMMANDS = {
    "setup": setup,
    "demo": demo,
    "demo-bundle": demo_bundle,
    "test": test,
    "coverage": coverage,
    "lint": lint,
    "format": format_code,
    "clean": clean,
}


def make_environment(*extras: str) -> None:
    """Make .venv hold this package with these extras; does nothing when it already does.

    Raises:
        DevError: venv or ensurepip is missing, or pip could not install.
    """
    present = installed_extras()
    if present is not None and present.issuperset(extras):
        return
    extras = tuple(sorted(present.union(extras))) if present else extras
    if UNFINISHED.exists() or not is_usable():
        make_empty_environment()
    UNFINISHED.write_text("Being installed; if nothing is running, dev.py makes this folder again.\n", encoding="utf-8")
    package = f"{ROOT}[{','.join(extras)}]"
    print(f"Installing into {VENV} (the first time takes some minutes: PyTorch is large) ...", flush=True)
    command = python("-m", "pip", "install", "--constraint", str(CONSTRAINTS), "--editable", package)
    if run(command) != 0:
        raise DevError(
            "pip could not install what is needed; its own words are above. Check the network (behind a proxy set"
            " HTTPS_PROXY), the free disk space, and that PyTorch is offered for this computer"
            f" ({platform.system()} {platform.machine()}, Python {platform.python_version()}); then run this again."
        )
    STAMP.write_text(f"{wanted_digest()}\n{' '.join(extras)}\n", encoding="utf-8")
    UNFINISHED.unlink()


def installed_extras() -> set[str] | None:
    """The extras that .venv was made with; None when it is missing, half-made, or made for older requirements."""
    if UNFINISHED.exists() or not STAMP.exists() or not executable("python").exists():
        return None
    digest, extras = [*STAMP.read_text(encoding="utf-8").splitlines(), "", ""][:2]
    return set(extras.split()) if digest == wanted_digest() else None


def wanted_digest() -> str:
    """A hash of everything that decides what has to be in .venv."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_usable() -> bool:
    """True when .venv has a Python that starts, has pip, and knows that it is a virtual one.

    Without its pyvenv.cfg it would be the Python of the system, and pip would install into that.
    """
    if not executable("python").exists():
        return False
    question = python("-c", "import pip, sys; sys.exit(sys.prefix == sys.base_prefix)")
    try:
        return subprocess.run(question, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_empty_environment() -> None:
    """Make .venv anew, with pip and nothing else."""
    require_venv()
    if VENV.exists():
        print(f"{VENV} is not usable; making it again.", flush=True)
        try:
            shutil.rmtree(VENV)
        except OSError as error:
            raise DevError(
                f"{error}. Close what uses {VENV} (an editor, this very Python), then run this again."
            ) from error
    VENV.mkdir()
    UNFINISHED.write_text("Being made.\n", encoding="utf-8")
    if run([sys.executable, "-m", "venv", str(VENV)]) != 0:
        raise DevError(f"{sys.executable} -m venv failed; its own words are above.")


def require_venv() -> None:
    """Make sure that this Python can make virtual environments; Debian ships that part as a package of its own.

    Raises:
        DevError: It cannot, with the command that mends it.
    """
    if can_make_environments():
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if shutil.which("apt-get") is None:
        raise DevError(f"{sys.executable} lacks the modules venv and ensurepip. Install Python from python.org.")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    if os.name != "posix" or os.geteuid() != 0:
        raise DevError(f"This Python cannot make virtual environments yet. Run: sudo {' '.join(install)}")
    print(f"Installing {package} ...", flush=True)
    run(["apt-get", "update"])
    if run(install) != 0 or not can_make_environments():
        raise DevError(f"{' '.join(install)} failed; its own words are above.")


def can_make_environments() -> bool:
    """Ask a fresh process, since this one may remember a module as missing."""
    question = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(question, capture_output=True, check=False).returncode == 0


def cisfa(*arguments: str | Path) -> None:
    """Run a cisfa command and show it."""
    words = [str(argument) for argument in arguments]
    step(f"cisfa {' '.join(words)}", python("-m", "cisfa", *words))


def step(name: str, command: list[str], **variables: str) -> None:
    """Run a command, with these variables in its environment; end this program with its exit code when it fails.

    Raises:
        SystemExit: The command failed.
    """
    print(f"--- {name}", flush=True)
    code = run(command, **variables)
    if code != 0:
        print(f"dev.py: {name} failed (exit code {code}).", file=sys.stderr, flush=True)
        raise SystemExit(code if 0 < code < 256 else 1)


def run(command: list[str], **variables: str) -> int:
    """Run a command in the project's folder and wait for it.

    Children speak UTF-8 whatever the console's code page, so that no file name can stop them.
    """
    environment = dict(os.environ, PYTHONUTF8="1", DEBIAN_FRONTEND="noninteractive", **variables)
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def python(*arguments: str) -> list[str]:
    """A command for .venv's Python."""
    return [str(executable("python")), *arguments]


def executable(name: str) -> Path:
    """Where .venv keeps a program."""
    return VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name


def require_python() -> None:
    """Make sure that this Python can run the project.

    Raises:
        DevError: It is too old, or a 32-bit one.
    """
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        raise DevError(f"This needs Python {wanted} or newer, and this is {found}. Run dev.py with a newer one.")
    if sys.maxsize < 2**32:
        raise DevError(f"This needs a 64-bit Python, and this is a 32-bit {found}: PyTorch has no 32-bit builds.")


def main() -> int:
    """Run the command that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, function in COMMANDS.items():
        summary = function.__doc__.splitlines()[0]
        commands.add_parser(name, help=summary, description=summary)
    chosen = parser.parse_args().command
    try:
        require_python()
        COMMANDS[chosen]()
    except DevError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dev.py: stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
