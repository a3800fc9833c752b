# What others get: the program, libringshift for find_package(ringshift), and Debian packages of both.
include(CMakePackageConfigHelpers)

# All folders' libraries as one: what a program that embeds a machine links.
add_library(libringshift INTERFACE)
add_library(ringshift::ringshift ALIAS libringshift)
target_link_libraries(libringshift INTERFACE
  ringshift_frontend ringshift_translator ringshift_devices ringshift_bios ringshift_mmu
  ringshift_cpu)
set_target_properties(libringshift PROPERTIES EXPORT_NAME ringshift)
install(TARGETS libringshift EXPORT ringshift)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/ringshift)
install(EXPORT ringshift NAMESPACE ringshift:: FILE ringshiftTargets.cmake
        DESTINATION ${package_folder} COMPONENT development)
configure_package_config_file(
  ${CMAKE_SOURCE_DIR}/cmake/ringshiftConfig.cmake.in ${CMAKE_BINARY_DIR}/ringshiftConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(
  ${CMAKE_BINARY_DIR}/ringshiftConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/ringshiftConfig.cmake ${CMAKE_BINARY_DIR}/ringshiftConfigVersion.cmake
        DESTINATION ${package_folder} COMPONENT development)

if(TARGET ringshift)
  add_custom_command(
    OUTPUT ${CMAKE_BINARY_DIR}/completion/ringshift
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/completion
    COMMAND ringshift completion > ${CMAKE_BINARY_DIR}/completion/ringshift
    DEPENDS ringshift VERBATIM)
  add_custom_target(ringshift_completion ALL DEPENDS ${CMAKE_BINARY_DIR}/completion/ringshift)
  install(FILES ${CMAKE_BINARY_DIR}/completion/ringshift
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT runtime)
endif()
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright COMPONENT runtime)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libringshift-dev RENAME copyright
        COMPONENT development)

# --- cpack -G DEB: ringshift (the program) and libringshift-dev --------------------------------------

set(CPACK_PACKAGE_VENDOR "Ringshift")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "x86 virtual machine monitor that needs no hardware virtualization")
set(CPACK_PACKAGE_CONTACT "Ringshift maintainers <maintainers@users.noreply.example>")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${CPACK_PACKAGE_CONTACT})
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ringshift)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION misc)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS seabios)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
  "Runs unmodified x86 operating systems in one ordinary process, without hardware virtualization,
kernel modules or privileges: firmware, boot loaders and kernels, on a terminal or in a window.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libringshift-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libzydis-dev, libasmjit-dev, libsdl2-dev, libpng-dev, libre2-dev, pkg-config, seabios")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
  "Static libraries and headers of the x86 virtual machine monitor Ringshift, for programs that
embed a machine: find_package(ringshift) and link ringshift::ringshift.")

include(CPack)
