import subprocess
import sys
from pathlib import Path

import pytest

# what Slicer's parameter node wrapper does: an observer that refers to the wrapper, which refers to the node
RING = """
import gc, sys
sys.path.insert(0, sys.argv[1])
import slicer, vtk
slicer.mrmlScene = slicer.vtkMRMLScene()
from cisfa_slicer.kept_nodes import keep_for_observers

class Wrapper:
    def __init__(self, node):
        self.node = node
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: print("observed", self.node.GetID()))

def wrap():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    if sys.argv[2] == "kept":
        keep_for_observers(node)
    Wrapper(node)
    return node.GetID()

identity = wrap()
gc.collect()
slicer.mrmlScene.GetNodeByID(identity).Modified()
"""


@pytest.mark.parametrize("how", ["kept", "not kept"])
def test_a_kept_node_can_be_observed_when_nobody_else_holds_it(how: str, root: Path) -> None:
    """The crash without it is VTK's; once that is mended, keeping nodes can go."""
    words = [sys.executable, "-c", RING, str(root / "src"), how]
    ended = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=60)
    if how == "kept":
        assert "observed vtkMRMLScriptedModuleNode1" in ended.stdout
        assert ended.returncode == 0
    else:
        assert ended.returncode != 0


def test_the_module_keeps_its_parameter_node(host, root: Path) -> None:
    import slicer

    widget = host.load_module(root / "CISFASegmentation" / "CISFASegmentation.py")
    node = widget.logic.getParameterNode().parameterNode
    assert vars(slicer.mrmlScene)["cisfa_kept_nodes"][node.GetID()] is node
