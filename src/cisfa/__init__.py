"""CISFA: adapt a segmentation model from annotated source cases to an unlabelled target domain.

The method is Hu, Wang and Shi, "Contrastive Image Synthesis and Self-supervised Feature Adaptation for
Cross-Modality Biomedical Image Segmentation" (arXiv:2207.13240). This package is headless: it knows nothing of 3D
Slicer and is used through the ``cisfa`` command or imported.
"""

__version__ = "0.1.0"
