"""A drawn MR volume that comes with the extension, so that the first click works without any download."""

from pathlib import Path

import slicer

SAMPLE_NAME = "CISFAPhantomMR"
_FILE = "CISFASegmentationSampleMR.nii.gz"
_SHA256 = "6cbba97d4fc5fe448526d2cb13d931aeb417379f6700fa4344f71494cc0c02a7"


def register(resources: Path) -> None:
    """Offer the volume in the module Sample Data.

    Args:
        resources: The module's folder Resources.
    """
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="CISFA",
        sampleName=SAMPLE_NAME,
        thumbnailFileName=str(resources / "Icons" / "CISFASegmentation.png"),
        uris=(resources / _FILE).as_uri(),
        fileNames=_FILE,
        checksums=f"SHA256:{_SHA256}",
        nodeNames=SAMPLE_NAME,
    )


def load_sample(resources: Path) -> slicer.vtkMRMLScalarVolumeNode:
    """Load the volume into the scene, without the module Sample Data."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", SAMPLE_NAME)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(resources / _FILE))
    storage.ReadData(node)
    node.CreateDefaultDisplayNodes()
    return node
