"""The libraries that speak to a PACS, which not everybody has."""

import importlib
import logging

from cisfa.errors import PacsError

_PACKAGES = {"dicomweb_client": "dicomweb-client"}
_TALKATIVE = ("dicomweb_client", "pynetdicom", "urllib3", "pydicom", "retrying")


def require_library(module: str, purpose: str) -> None:
    """Make sure that a library is installed, and that nothing that it logs gets onto a terminal.

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
    silence_libraries()


def silence_libraries() -> None:
    """Keep what they log off standard error: servers' warnings and odd values may have a patient's name in them."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            logger.addHandler(logging.NullHandler())
