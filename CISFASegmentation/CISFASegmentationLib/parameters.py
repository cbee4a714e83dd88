"""What a scene remembers of the panel."""

from typing import Annotated

from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class SegmentationParameters:
    """The user's choices.

    Attributes:
        input_volume: To segment.
        roi: Box to segment in; None takes the body.
        output_segmentation: To replace; None makes a new one.
        result: Whose organs the table tells of; None for none. Scenes of older versions have none.
        model: Key of a model in the library.
        show_3d: Whether surfaces are made.
        device: "auto", "cpu", "cuda" or "mps".
        batch_size: Slices at a time.
        largest_component: Whether only each organ's largest part is kept.
    """

    input_volume: vtkMRMLScalarVolumeNode
    roi: vtkMRMLMarkupsROINode
    output_segmentation: vtkMRMLSegmentationNode
    result: vtkMRMLSegmentationNode
    model: str = "demo"
    show_3d: bool = False
    device: Annotated[str, Choice(["auto", "cpu", "cuda", "mps"])] = "auto"
    batch_size: Annotated[int, WithinRange(1, 256)] = 8
    largest_component: bool = False
