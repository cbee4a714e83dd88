"""Stands in for the 3D Slicer application in tests: real MRML (slicer-core) and real Qt (PySide6), the rest rebuilt.

See README.md beside this folder.
"""
