"""Nodes whose Python objects must live as long as they do."""

from typing import Any

import slicer


def keep_for_observers(node: Any) -> None:
    """Keep the Python object of a node that Slicer's parameter node wrapper observes.

    The wrapper adds an observer that refers to the wrapper, which refers to the node. When nobody else holds the node's
    Python object, Python takes this ring for garbage and empties the observer, while VTK, in whose scene the node lives
    on, still calls it: Slicer crashes, at the latest when a module is reloaded or a scene closed. Seen with VTK 9.1 and
    9.6. A node that is kept costs nothing.
    """
    # on the scene's own object, which lives as long as Slicer, and survives the reloading of modules
    vars(slicer.mrmlScene).setdefault("cisfa_kept_nodes", {})[node.GetID()] = node
