"""Reloading while developing: Slicer's own "Reload" reads the module's file again, but not the packages behind it."""

import sys
from collections.abc import Iterable


def forget_packages(names: Iterable[str]) -> None:
    """Make the next import of these packages read their files again.

    Args:
        names: Top-level packages, as ``cisfa_slicer``.
    """
    wanted = set(names)
    for module in [name for name in sys.modules if name.partition(".")[0] in wanted]:
        del sys.modules[module]
