# Assembles option ROMs with nasm and embeds them in a target as byte arrays.

find_program(NASM_EXECUTABLE nasm REQUIRED)

# ringshift_boot_roms(target folder name...): each <folder>/<name>.asm becomes the function
# ringshift::bios::<name>_boot_rom(), declared in bios/boot_rom/boot_rom.h.
function(ringshift_boot_roms target folder)
  file(GLOB includes CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.inc)
  set(generated ${CMAKE_BINARY_DIR}/generated/${folder})
  file(MAKE_DIRECTORY ${generated})
  foreach(name IN LISTS ARGN)
    set(source ${CMAKE_SOURCE_DIR}/${folder}/${name}.asm)
    add_custom_command(
      OUTPUT ${generated}/${name}.bin
      COMMAND ${NASM_EXECUTABLE} -f bin -Werror -I${CMAKE_SOURCE_DIR}/${folder}/
              -o ${generated}/${name}.bin ${source}
      DEPENDS ${source} ${includes}
      COMMENT "Assembling ${folder}/${name}.asm"
      VERBATIM)
    add_custom_command(
      OUTPUT ${generated}/${name}.cpp
      COMMAND ${CMAKE_COMMAND} -D INPUT=${generated}/${name}.bin -D OUTPUT=${generated}/${name}.cpp
              -D FUNCTION=${name}_boot_rom -P ${CMAKE_SOURCE_DIR}/cmake/EmbedBootRom.cmake
      DEPENDS ${generated}/${name}.bin ${CMAKE_SOURCE_DIR}/cmake/EmbedBootRom.cmake
      COMMENT "Embedding ${folder}/${name}.bin"
      VERBATIM)
    target_sources(${target} PRIVATE ${generated}/${name}.cpp)
  endforeach()
endfunction()
