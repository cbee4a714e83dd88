"""Real MRML and real Qt behind a stand-in for the rest of Slicer; see host/."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE / "host"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

MISSING = [name for name in ("slicer_core", "PySide6") if importlib.util.find_spec(name) is None]


class _Skipped(pytest.Module):
    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip(f"pip offers no {' and no '.join(MISSING)} for this Python on this system", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip what cannot even be imported."""
    return _Skipped.from_parent(parent, path=module_path) if MISSING else None


if not MISSING:
    from slicer_host.pytest_plugin import *  # noqa: F403


@pytest.fixture(scope="session")
def root() -> Path:
    return HERE.parents[1]
