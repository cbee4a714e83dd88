"""A volume as Slicer's module DICOM loads it, from a real series, and a stand-in for the database that it came from."""

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import slicer
import vtk
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.errors import InvalidDicomError

from cisfa.imaging.geometry import Geometry
from cisfa.imaging.volume import Volume
from CISFASegmentationLib.export_run import ExportEnd
from CISFASegmentationLib.segmentation_logic import SegmentationLogic
from panel_driving import leftovers
from scenes import add_volume, image_of

SERIES_WRITER = Path(__file__).resolve().parents[1] / "dicom"
if str(SERIES_WRITER) not in sys.path:
    sys.path.append(str(SERIES_WRITER))

DEMO_BUNDLE = SERIES_WRITER.parents[1] / "CISFASegmentation" / "Resources" / "CISFASegmentationDemoBundle.zip"
SHAPE = (6, 20, 30)
_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Database:
    """What the export asks of ctkDICOMDatabase: a property and methods that are Q_INVOKABLE there."""

    def __init__(self, folder: Path) -> None:
        self.isOpen = True
        self.files: dict[str, str] = {}
        self.folder = folder
        self.takes = True

    def fileForInstance(self, instance: str) -> str:
        return self.files.get(instance, "")

    def fileValue(self, file: str, tag: str) -> str:
        """Only of files that are in the database, however readable others may be."""
        assert isinstance(file, str)
        return _value(file, tag) if file in self.files.values() else ""

    def instanceValue(self, instance: str, tag: str) -> str:
        return self.fileValue(self.files[instance], tag) if instance in self.files else ""

    def take(self, folder: str, database: object, copyFiles: bool = False) -> bool:
        """What DICOMLib.DICOMUtils.importDicom does: every DICOM file of a folder."""
        assert database is self
        for path in Path(folder).rglob("*") if self.takes else ():
            instance = _value(path, "0008,0018")
            kept = self.folder / f"{instance[-12:]}.dcm"
            if copyFiles:
                self.folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept)
            self.files.setdefault(instance, str(kept if copyFiles else path))
        return True


def _value(file: str | Path, tag: str) -> str:
    keyword = keyword_for_tag(int(tag.replace(",", ""), 16))
    try:
        return str(dcmread(file, stop_before_pixels=True).get(keyword, ""))
    except InvalidDicomError:
        return ""


def use_database(monkeypatch, folder: Path) -> Database:
    """Let Slicer have a DICOM database."""
    database = Database(folder)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    library = ModuleType("DICOMLib")
    library.DICOMUtils = SimpleNamespace(importDicom=database.take)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    return database


def geometry() -> Geometry:
    """Oblique and anisotropic; slices run to Superior."""
    tilt = np.radians(12)
    axes = np.array([[0, -np.sin(tilt), np.cos(tilt)], [0, np.cos(tilt), np.sin(tilt)], [1, 0, 0]])
    return Geometry.from_axes(SHAPE, spacing_mm=(3.1, 0.9, 0.7), origin_lps_mm=(-20, 11, 40), axes_lps=axes)


def labels() -> np.ndarray:
    """Of the demo model's organs 1 and 4."""
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[1:3, 2:5, 3:9] = 1
    voxels[4, 10:12, 20:25] = 4
    return voxels


def load_from_dicom(database: Database, folder: Path, name: str = "2: T2 fs"):
    """Write a series, put it into the database, and load it."""
    from series_writer import write_series

    place, voxels = geometry(), labels()
    paths = write_series(folder, Volume(voxels, place), modality="MR")
    instances = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in paths]
    database.files.update(zip(instances, map(str, paths), strict=True))
    node = add_volume(name, voxels=voxels)
    ijk_to_ras = _LPS_OF_RAS @ place.index_to_lps[:, [2, 1, 0, 3]]
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(ijk_to_ras.ravel().tolist())
    node.SetIJKToRASMatrix(matrix)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(instances))
    return node


def make_result(volume, *, voxels: np.ndarray | None = None, replaced=None):
    """What a run of the demo model leaves in the scene."""
    from cisfa.bundle.manifest_file import identify_bundle
    from CISFASegmentationLib.segmentation_import import make_segmentation, place_in_scene

    manifest, checksum = identify_bundle(DEMO_BUNDLE)
    found = oriented(volume, labels() if voxels is None else voxels)
    return place_in_scene(make_segmentation(found, manifest), volume, manifest, checksum, replaced)


def oriented(volume, mask: np.ndarray):
    """A mask on a volume's own grid."""
    made, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    made.ShallowCopy(image_of(mask.astype(np.uint8)))
    volume.GetIJKToRASMatrix(matrix)
    made.SetGeometryFromImageToWorldMatrix(matrix)
    return made


def paint(node, organ: str, volume, mask: np.ndarray, *, over: tuple[str, ...] = ()) -> None:
    """What the Segment Editor does with a stroke; ``over`` are organs that it may take voxels from."""
    logic, inner = slicer.vtkSlicerSegmentationsModuleLogic, node.GetSegmentation()
    others = [inner.GetSegmentIdBySegmentName(other) for other in over]
    identity, stroke = inner.GetSegmentIdBySegmentName(organ), oriented(volume, mask)
    extent = stroke.GetExtent()
    assert logic.SetBinaryLabelmapToSegment(stroke, node, identity, logic.MODE_MERGE_MASK, extent, False, others)


def set_voxels(node, organ: str, volume, mask: np.ndarray) -> None:
    """What scripts do (slicer.util.updateSegmentBinaryLabelmapFromArray)."""
    identity = node.GetSegmentation().GetSegmentIdBySegmentName(organ)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(oriented(volume, mask), node, identity, logic.MODE_REPLACE)


def mask_of(node, organ: str, volume) -> np.ndarray:
    """A segment's voxels on the volume's grid, as Slicer resamples them."""
    identity = node.GetSegmentation().GetSegmentIdBySegmentName(organ)
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, identity, volume) > 0


def run_to_end(host, logic: SegmentationLogic, node, target, **choices: object) -> ExportEnd:
    """Export, and wait for the one end; nothing temporary is left then."""
    ends: list[ExportEnd] = []
    logic.start_export(node, target, **choices).ended.connect(ends.append)
    host.spin_until(lambda: ends, timeout_s=60)
    assert len(ends) == 1
    assert leftovers() == []
    return ends[0]
