"""For pytest: the fixture ``host``, and errors in slots as failures. A conftest.py imports everything from here."""

from collections.abc import Iterator
from typing import Any

import pytest

from slicer_host import slot_errors
from slicer_host.installation import install

__all__ = ["host", "pytest_runtest_call"]

# at import, so that test modules can import qt, ctk and slicer
_host = install()


@pytest.fixture
def host() -> Iterator[Any]:
    """A Slicer with an empty scene, without settings and modules."""
    _host.start()
    try:
        yield _host
    finally:
        _host.end()
    _host.dialogs.require_all_used()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """An error in a slot or observer, which Qt and VTK only print, fails the test."""
    slot_errors.take()
    yield
    slot_errors.raise_collected()
