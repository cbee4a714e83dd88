# What UseSlicer.cmake of a real Slicer gives to an extension of Python modules.

if(NOT DEFINED EXTENSION_NAME)
  set(EXTENSION_NAME "${PROJECT_NAME}")
endif()
if("${EXTENSION_NAME}" MATCHES "^$|^Slicer$|^Project$")
  message(FATAL_ERROR "Call project(<name of the extension>) before include(\${Slicer_USE_FILE})")
endif()
if(NOT DEFINED EXTENSION_DEPENDS)
  set(EXTENSION_DEPENDS NA)
endif()

include(CTest)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")

# Refuse files that are not there; the real one looks for a missing ending ".py" too.
function(_require_files kind)
  foreach(name IN LISTS ARGN)
    get_filename_component(path "${name}" ABSOLUTE)
    if(NOT EXISTS "${path}" AND NOT EXISTS "${path}.py")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule(${kind}) given nonexistent file or directory '${name}'")
    endif()
  endforeach()
endfunction()

# Copy files into the build tree's folder of scripted modules, each at its path relative to the calling list.
function(_copy_files target kind)
  set(copies)
  foreach(name IN LISTS ARGN)
    set(copy "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${name}")
    add_custom_command(
      OUTPUT "${copy}"
      COMMAND "${CMAKE_COMMAND}" -E copy "${CMAKE_CURRENT_SOURCE_DIR}/${name}" "${copy}"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}"
      COMMENT "Copying ${name}"
      VERBATIM
      )
    list(APPEND copies "${copy}")
  endforeach()
  if(copies)
    add_custom_target(Copy${target}Python${kind}Files ALL DEPENDS ${copies})
  endif()
endfunction()

# Leave a .pyc beside each .py, as the real one does, but fail where a file cannot be compiled.
function(_compile_scripts target)
  list(TRANSFORM ARGN PREPEND "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/" OUTPUT_VARIABLE scripts)
  add_custom_target(Compile${target}PythonFiles ALL
    COMMAND "${PYTHON_EXECUTABLE}" "${Slicer_CMAKE_DIR}/compile_scripts.py" ${scripts}
    DEPENDS ${scripts}
    COMMENT "Compiling the scripts of ${target}"
    VERBATIM
    )
  add_dependencies(Compile${target}PythonFiles Copy${target}PythonScriptFiles)
endfunction()

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to slicerMacroBuildScriptedModule(): \"${MY_UNPARSED_ARGUMENTS}\"")
  endif()
  if(NOT DEFINED MY_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  if(NOT MY_SCRIPTS)
    message(FATAL_ERROR "SCRIPTS is mandatory")
  endif()
  _require_files(SCRIPTS ${MY_SCRIPTS})
  _require_files(RESOURCES ${MY_RESOURCES})
  message(STATUS "Configuring Scripted module: ${MY_NAME}")

  _copy_files(${MY_NAME} Script ${MY_SCRIPTS})
  _copy_files(${MY_NAME} Resource ${MY_RESOURCES})
  _compile_scripts(${MY_NAME} ${MY_SCRIPTS})
  # all that lies there, not only what this call put there
  install(
    DIRECTORY "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/"
    DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    COMPONENT RuntimeLibraries
    USE_SOURCE_PERMISSIONS
    )
  if(BUILD_TESTING AND MY_WITH_GENERIC_TESTS)
    slicer_add_python_unittest(
      SCRIPT qSlicer${MY_NAME}ModuleGenericTest.py
      SLICER_ARGS --no-main-window
      TESTNAME_PREFIX nomainwindow_
      )
  endif()
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  get_filename_component(name "${MY_SCRIPT}" NAME_WE)
  get_filename_component(folder "${MY_SCRIPT}" DIRECTORY)
  if("${folder}" STREQUAL "")
    set(folder "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  add_test(
    NAME py_${MY_TESTNAME_PREFIX}${name}
    COMMAND "${Slicer_LAUNCHER_EXECUTABLE}" --testing ${MY_SLICER_ARGS} --python-code
      "import slicer.testing; slicer.testing.runUnitTest(['${CMAKE_CURRENT_BINARY_DIR}', '${folder}'], '${name}')"
    )
endfunction()
