"""The files that the house rules are about, parsed once."""

import ast
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEVER_TRACKED = {".git", ".venv", "build", "dist", "__pycache__"}

Trees = Mapping[str, ast.Module]


def parsed(paths: list[Path]) -> Trees:
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(paths)}


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def product() -> Trees:
    """What is shipped, and dev.py: path from the repository's root to syntax tree."""
    modules = [path for folder in ROOT.glob("CISFA*") for path in folder.rglob("*.py")]
    return parsed([*(ROOT / "src").rglob("*.py"), *modules, ROOT / "dev.py"])


@pytest.fixture(scope="session")
def all_python(product: Trees) -> Trees:
    """The product and its tests."""
    return {**product, **parsed(list((ROOT / "Testing").rglob("*.py")))}


@pytest.fixture(scope="session")
def tracked_files() -> list[Path]:
    """Files that git tracks or would track; in a download without git, every file that is not built."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        found = [Path(folder) / name for folder, _, names in os.walk(ROOT) for name in names]
        return [path for path in found if not NEVER_TRACKED.intersection(path.relative_to(ROOT).parts)]
    paths = [ROOT / os.fsdecode(name) for name in listing.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]
