"""``cisfa send``: DICOM files into a PACS."""

import argparse
from pathlib import Path

from cisfa.events import Finished, Report

_NOWHERE = "none"

HELP = (
    "Send DICOM files to a PACS, over DICOMweb or by C-STORE. For DICOMweb, name and password come from"
    " CISFA_DICOMWEB_USER and CISFA_DICOMWEB_PASSWORD, a token from CISFA_DICOMWEB_TOKEN (only for"
    " CISFA_DICOMWEB_HOST, where that is set), or both from the keyring (keyring set cisfa-dicomweb:HOST USER)."
    " Repeating is safe: no second copy arises."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="DICOM files")
    parser.add_argument(
        "--to", required=True, metavar="ADDRESS",
        help="dicomweb://HOST[:PORT]/PATH, dicomweb+http://... without TLS, or dimse://HOST:PORT/AET[?calling=AET]",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds to wait for an answer (default 60; 10 for a connection)"
    )


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Run the command."""
    from cisfa.errors import ConfigError
    from cisfa.pacs.address import parse_target
    from cisfa.pacs.patience import Patience
    from cisfa.pacs.store import store_instances

    if arguments.to == _NOWHERE:
        raise ConfigError(
            "--to none would send the files nowhere. Give the address of a PACS, such as dicomweb://HOST/PATH or"
            " dimse://HOST:PORT/AET."
        )
    patience = Patience()
    if arguments.timeout is not None:
        if not 0 < arguments.timeout <= 3600:
            raise ConfigError(f"--timeout is {arguments.timeout:g}; it must be more than 0 and at most 3600 seconds.")
        patience = Patience(connect_s=min(arguments.timeout, patience.connect_s), read_s=arguments.timeout)
    store_instances(arguments.files, parse_target(arguments.to), report, patience=patience)
    report(Finished())
