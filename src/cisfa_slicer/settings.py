"""What is remembered between sessions and across scenes, in Slicer's own settings file."""

import slicer

EXTERNAL_PYTHON = "ExternalPython"
MODEL_FOLDER = "ModelFolder"
WHEEL_FOLDER = "WheelFolder"
CATALOGUE = "Catalogue"
RUN_FOLDER = "RunFolder"
CASE_FOLDER = "CaseFolder"
EXPORT_TARGET = "ExportTarget"
EXPORT_KIND = "ExportKind"
EXPORT_FOLDER = "ExportFolder"
DICOMWEB_ADDRESS = "DICOMwebAddress"
DIMSE_HOST = "DIMSEHost"
DIMSE_PORT = "DIMSEPort"
DIMSE_CALLED = "DIMSECalledAETitle"
DIMSE_CALLING = "DIMSECallingAETitle"


def read_setting(name: str) -> str:
    """A setting's text; empty when it was never made."""
    value = slicer.app.userSettings().value(f"CISFA/{name}")
    return str(value) if value else ""


def write_setting(name: str, value: str) -> None:
    """Remember a setting; an empty one is forgotten."""
    if value:
        slicer.app.userSettings().setValue(f"CISFA/{name}", value)
    else:
        slicer.app.userSettings().remove(f"CISFA/{name}")
