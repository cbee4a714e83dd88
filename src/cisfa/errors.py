"""Errors a user can act on. Anything else that is raised is a bug of ours and keeps its traceback."""


class CisfaError(Exception):
    """Something is wrong that the user can mend: the message says what, the value found, and what to do."""


class VolumeFileError(CisfaError):
    """A volume or label map cannot be read or written."""


class GeometryError(CisfaError):
    """Two arrays that must share a grid do not, or a grid is degenerate."""


class ConfigError(CisfaError):
    """A setting is unknown or has a value it cannot have."""


class CaseError(CisfaError):
    """A case, or a folder of cases, cannot be used: labels missing, unknown label values, a patient used twice."""


class BundleError(CisfaError):
    """A model bundle is damaged, too new, or made for something else."""


class DownloadError(CisfaError):
    """A model bundle cannot be downloaded, or is not the one that was expected."""


class RunError(CisfaError):
    """A run folder cannot be started, resumed or written."""


class ExportError(CisfaError):
    """A result cannot be written as a DICOM object."""


class PacsError(CisfaError):
    """A PACS cannot be reached, refuses, or sends something that is not whole."""


class DeviceError(CisfaError):
    """The device that was asked for is not there, or has too little memory."""


class TrainingDivergedError(CisfaError):
    """A loss is no longer a finite number."""


class Cancelled(CisfaError):  # noqa: N818 - it is an outcome, not a fault
    """The user stopped the work; what was finished before stays usable."""
