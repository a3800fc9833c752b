# What every target of the project has in common: warnings, sanitizers, include root.

add_library(ringshift_options INTERFACE)
target_compile_options(ringshift_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-qual -Wformat=2 -Wnull-dereference -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False positives in optimised and sanitized standard-library code with GCC 12.
  target_compile_options(ringshift_options INTERFACE -Wno-null-dereference -Wno-maybe-uninitialized
    -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
endif()
target_include_directories(ringshift_options INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
if(RINGSHIFT_SANITIZE)
  target_compile_options(ringshift_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(ringshift_options INTERFACE -fsanitize=address,undefined)
endif()
if(RINGSHIFT_COVERAGE)
  target_compile_options(ringshift_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(ringshift_options INTERFACE --coverage)
endif()

# ringshift_library(folder LINK ...): one static library for one top-level folder.
function(ringshift_library folder)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/frontend/main\\.cpp$")
  if(NOT sources)
    add_library(ringshift_${folder} INTERFACE)
    target_link_libraries(ringshift_${folder} INTERFACE ringshift_options ${ARG_LINK})
    return()
  endif()
  add_library(ringshift_${folder} STATIC ${sources})
  # Who uses the installed library chooses warnings for itself.
  target_link_libraries(ringshift_${folder} PUBLIC $<BUILD_INTERFACE:ringshift_options> ${ARG_LINK})
  target_compile_features(ringshift_${folder} PUBLIC cxx_std_20)
  target_include_directories(ringshift_${folder} INTERFACE
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/ringshift>)
  set_target_properties(ringshift_${folder} PROPERTIES EXPORT_NAME ${folder})
  install(TARGETS ringshift_${folder} EXPORT ringshift ARCHIVE COMPONENT development)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/${folder}/
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ringshift/${folder}
          COMPONENT development
          FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
endfunction()
