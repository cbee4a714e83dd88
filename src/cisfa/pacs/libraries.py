"""The libraries that speak to a PACS, which not everybody has."""

import importlib

from cisfa.errors import PacsError

_PACKAGES = {"dicomweb_client": "dicomweb-client"}


def require_library(module: str, purpose: str) -> None:
    """Make sure that a library is installed.

    Args:
        module: Its name in Python.
        purpose: What needs it, as the beginning of a sentence.

    Raises:
        PacsError: It is not.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise PacsError(
            f'{purpose} needs {_PACKAGES.get(module, module)}: python -m pip install "cisfa[pacs]"'
        ) from error
