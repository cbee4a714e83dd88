# A stand-in for a build of 3D Slicer: enough for find_package(Slicer) and what this extension's lists call, with the
# layout and the complaints of the real one, so that the tests can build and install the extension without Slicer.

set(Slicer_VERSION_MAJOR 5)
set(Slicer_VERSION_MINOR 12)
set(Slicer_VERSION "${Slicer_VERSION_MAJOR}.${Slicer_VERSION_MINOR}.0")
set(Slicer_USE_PYTHONQT ON)

set(Slicer_CMAKE_DIR "${CMAKE_CURRENT_LIST_DIR}")
set(Slicer_USE_FILE "${Slicer_CMAKE_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${Slicer_CMAKE_DIR}/generate_config.cmake")
set(Slicer_EXTENSION_CPACK "${Slicer_CMAKE_DIR}/package.cmake")

set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-${Slicer_VERSION_MAJOR}.${Slicer_VERSION_MINOR}/qt-scripted-modules")
set(Slicer_SHARE_DIR "share/Slicer-${Slicer_VERSION_MAJOR}.${Slicer_VERSION_MINOR}")
set(Slicer_LAUNCHER_EXECUTABLE "${Slicer_CMAKE_DIR}/Slicer")
