"""What the modules of the 3D Slicer extension share: child processes, requirements, models. Never imports torch."""
