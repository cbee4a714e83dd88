"""In-plane resizing of slices by matrix products, and back.

SimpleITK and SciPy resample without a low-pass filter, so a 512x512 slice made 196x196 would alias; a triangle filter
that widens with the factor (as in Pillow's reduction) does not. As two small matrices it is also the fastest way on a
CPU, and keeps this package free of torch.
"""

import functools

import numpy as np
from numpy.typing import NDArray


@functools.lru_cache(maxsize=64)
def linear_weights(length: int, new_length: int) -> NDArray[np.float32]:
    """Weights (new_length, length) that resize one axis linearly, anti-aliased when it shrinks; rows sum to 1.

    Voxels are areas, so both axes span the same extent and their outer edges (not their outer centres) coincide.
    """
    factor = length / new_length
    centres = (np.arange(new_length) + 0.5) * factor - 0.5
    support = max(factor, 1.0)
    distance = np.abs(np.arange(length)[None, :] - np.clip(centres, 0, length - 1)[:, None])
    weights = np.maximum(0.0, 1.0 - distance / support)
    scaled: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    scaled.setflags(write=False)
    return scaled


def resize_linear(slices: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize the last two axes of (..., rows, columns) linearly."""
    if slices.shape[-2:] == shape:
        return slices
    rows = linear_weights(slices.shape[-2], shape[0])
    columns = linear_weights(slices.shape[-1], shape[1])
    resized: NDArray[np.float32] = np.matmul(np.matmul(rows, slices), columns.T)
    return resized


def resize_nearest(labels: NDArray[np.unsignedinteger], shape: tuple[int, int]) -> NDArray[np.unsignedinteger]:
    """Resize the last two axes of a label array, each new pixel taking the label at its centre."""
    rows = _nearest_indices(labels.shape[-2], shape[0])
    columns = _nearest_indices(labels.shape[-1], shape[1])
    return labels[..., rows[:, None], columns[None, :]]


def _nearest_indices(length: int, new_length: int) -> NDArray[np.intp]:
    return np.floor((np.arange(new_length) + 0.5) * length / new_length).astype(np.intp)
