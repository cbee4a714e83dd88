"""``cisfa bundle``: make a model bundle of a run, show what one says about itself, verify one, download one."""

import argparse
import json
from pathlib import Path

from cisfa.cli.job_options import add_job_options
from cisfa.events import Finished, Report

HELP = "make, show, verify or download a model bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of ``cisfa bundle``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="make a bundle of a training run")
    make.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    make.add_argument(
        "--output", type=Path, required=True, metavar="FILE_OR_DIR", help="a name ending in .zip, or a new folder"
    )
    make.add_argument(
        "--checkpoint",
        metavar="last|rank|STEP",
        help="which weights: of the last step, of the best mean rank in the run's scores without target labels, or of a"
        " step that is kept as a candidate (default: as the run's setting selection.by says)",
    )
    make.add_argument("--name", help="the model's name for people")
    make.add_argument("--description", help="what the model is for, in a few sentences")
    make.add_argument("--licence", help='an SPDX identifier such as "CC-BY-4.0", or a line of text')
    make.add_argument("--overwrite", action="store_true", help="replace a bundle that is there already")
    add_job_options(make)
    show = actions.add_parser("show", help="show what a bundle says about itself, after verifying it")
    show.add_argument("bundle", type=Path, metavar="BUNDLE", help="the folder or .zip file")
    show.add_argument("--json", action="store_true", help="print the manifest and the bundle's checksum as JSON")
    verify = actions.add_parser("verify", help="check every file of a bundle against its manifest")
    verify.add_argument("bundle", type=Path, metavar="BUNDLE", help="the folder or .zip file")
    download = actions.add_parser("download", help="download a bundle, or the rest of it, and verify it")
    download.add_argument("url", metavar="URL", help="where it is: https://, or file:// for a network drive")
    download.add_argument("--sha256", required=True, metavar="HEX", help="SHA-256 of the file, 64 hexadecimal digits")
    download.add_argument("--size", type=int, required=True, metavar="BYTES", help="size of the file")
    download.add_argument("--output", type=Path, required=True, metavar="FILE", help="a name ending in .zip")
    download.add_argument("--overwrite", action="store_true", help="replace a bundle that is there already")
    add_job_options(download)


def run(arguments: argparse.Namespace, report: Report) -> None:
    """Do what the command line asks for.

    Raises:
        CisfaError: The run or the bundle cannot be used; the message says why.
    """
    match arguments.action:
        case "make":
            _make(arguments, report)
        case "show":
            _show(arguments.bundle, as_json=arguments.json)
        case "verify":
            _verify(arguments.bundle)
        case "download":
            _download(arguments, report)


def _make(arguments: argparse.Namespace, report: Report) -> None:
    from cisfa.runs.selection import choose_weights
    from cisfa.training.export import bundle_of

    output = bundle_of(
        choose_weights(arguments.run, arguments.checkpoint),
        arguments.output,
        name=arguments.name,
        description=arguments.description,
        licence=arguments.licence,
        overwrite=arguments.overwrite,
    )
    report(Finished((str(output),)))


def _show(path: Path, *, as_json: bool) -> None:
    from cisfa.bundle.bundle_folder import open_bundle
    from cisfa.bundle.model_card import model_card
    from cisfa.config_files import to_json_values

    bundle = open_bundle(path)
    if as_json:
        print(json.dumps({"checksum": bundle.checksum, "manifest": to_json_values(bundle.manifest)}, indent=2))
    else:
        # not the file MODEL_CARD.md, which another program may have written with terminal codes in it
        print(model_card(bundle.manifest))
        print(f"Bundle checksum: {bundle.checksum}")


def _verify(path: Path) -> None:
    from cisfa.bundle.bundle_folder import verify_bundle

    for line in verify_bundle(path):
        print(line)
    print("The bundle is whole.")


def _download(arguments: argparse.Namespace, report: Report) -> None:
    from cisfa.bundle.download import download_bundle
    from cisfa.bundle.remote_file import RemoteFile

    remote = RemoteFile(arguments.url, arguments.sha256, arguments.size)
    bundle = download_bundle(remote, arguments.output, report, overwrite=arguments.overwrite)
    report(Finished((str(bundle.path),)))
