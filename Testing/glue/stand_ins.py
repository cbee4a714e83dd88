"""A Python whose `cisfa` does what a test wants, so that what goes wrong in a job can be tried out."""

import os
import sys
from pathlib import Path

from cisfa_slicer.interpreter import Interpreter

PREAMBLE = """
import json, os, sys, time
from pathlib import Path

def say(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)

def argument(name):
    return sys.argv[sys.argv.index(name) + 1]

def wait_for_stdin_to_close():
    while os.read(0, 1000):
        pass
"""


# what a good job leaves, with the voxels of the input as labels
GOOD = """
import hashlib, shutil, zipfile
say("progress", stage="segmenting", fraction=0.5, remaining_s=1)
labels = Path(argument("--output"))
shutil.copyfile(labels.with_name("volume.nrrd"), labels)
organs = [{"name": n, "label": l, "volume_ml": 1.5, "mean_intensity": None, "components": 1, "touches_edge": False}
          for l, n in enumerate(["liver", "right kidney", "left kidney", "spleen"], 1)]
manifest = zipfile.ZipFile(argument("--bundle")).read("manifest.json")
report = {"bundle": {"checksum": hashlib.sha256(manifest).hexdigest()}, "device": "CPU", "organs": organs}
Path(argument("--report")).write_text(json.dumps(report), encoding="utf-8")
say("finished", outputs=[str(labels)])
"""


def good_with(entries: dict[str, dict[str, object]]) -> str:
    """GOOD with other values in the report, by organ."""
    change = f"changed = {entries!r}\nfor each in organs:\n    each.update(changed.get(each['name'], {{}}))\n"
    return GOOD.replace("manifest = ", f"{change}manifest = ")


# what a good export leaves, without looking at what it was given
EXPORTED = """
say("progress", stage="writing", fraction=0.5, remaining_s=1)
if sys.argv[1] == "export-seg":
    Path(argument("--output")).write_bytes(b"a DICOM file")
keep = Path(os.environ["CISFA_TEST_KEEPS"]) / (sys.argv[1] + ".json")
found = {name: value for name, value in os.environ.items() if name.startswith("CISFA_DICOMWEB")}
keep.write_text(json.dumps({"words": sys.argv[1:], "variables": found}), encoding="utf-8")
say("finished", outputs=[])
"""
WAITS = """
say("progress", stage="segmenting", fraction=0.0)
wait_for_stdin_to_close()
sys.exit(3)
"""


def python_that_does(script: str, folder: Path) -> Interpreter:
    """A Python in which ``cisfa`` runs ``script``."""
    package = folder / "stand-in ä" / "cisfa"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PREAMBLE + script, encoding="utf-8")
    return Interpreter(Path(sys.executable), is_slicers=True, packages=package.parent)


def is_alive(process_id: int) -> bool:
    """True while a process runs; one that has ended and waits to be asked for its exit code does not."""
    if sys.platform == "win32":
        raise NotImplementedError
    try:
        os.kill(process_id, 0)
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
