"""Byte-compile the files named as arguments, each beside itself, where 3D Slicer's builds put it."""

import py_compile
import sys

for script in sys.argv[1:]:
    py_compile.compile(script, cfile=f"{script}c", doraise=True)
