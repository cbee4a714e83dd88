# The description that the package carries, in the catalogue's words.
foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${name} is either NOT defined or empty.")
  endif()
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.s4ext"
  "depends ${EXTENSION_DEPENDS}\n"
  "homepage ${EXTENSION_HOMEPAGE}\n"
  "contributors ${EXTENSION_CONTRIBUTORS}\n"
  "iconurl ${EXTENSION_ICONURL}\n"
  "description ${EXTENSION_DESCRIPTION}\n"
  "screenshoturls ${EXTENSION_SCREENSHOTURLS}\n"
  )
install(FILES "${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.s4ext" DESTINATION "${Slicer_SHARE_DIR}" COMPONENT RuntimeLibraries)
include(CPack)
