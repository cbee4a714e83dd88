"""In which order the tests run."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# those that take a minute or more: begun last, they would keep one process busy when the others have nothing left
LONG = (
    HERE / "glue" / "training" / "test_story.py",
    HERE / "core" / "training" / "test_kills.py",
    HERE / "core" / "test_story.py",
    HERE / "core" / "phantom" / "test_case.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, the others as they come."""
    items.sort(key=lambda item: LONG.index(item.path) if item.path in LONG else len(LONG))
