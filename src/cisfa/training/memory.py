"""The most memory that this process has used."""

import sys

import torch


def peak_memory_mb(device: torch.device) -> float | None:
    """The most that was in use so far, in MiB: the graphics card's where training runs on one, else this process's RAM.

    None where the system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 2**20
    if device.type == "mps":
        return torch.mps.driver_allocated_memory() / 2**20
    return _peak_ram_mb()


if sys.platform == "win32":

    def _peak_ram_mb() -> float | None:
        import ctypes
        from ctypes import wintypes

        class Counters(ctypes.Structure):
            _fields_ = (
                ("cb", wintypes.DWORD),
                ("PageFaultCount", wintypes.DWORD),
                ("PeakWorkingSetSize", ctypes.c_size_t),
                *((f"unused{index}", ctypes.c_size_t) for index in range(7)),
            )

        counters = Counters()
        counters.cb = ctypes.sizeof(counters)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        read = kernel.K32GetProcessMemoryInfo
        read.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD)
        known = read(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return counters.PeakWorkingSetSize / 2**20 if known else None

else:

    def _peak_ram_mb() -> float | None:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # bytes on macOS, KiB on Linux
        return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
