# Run as a script: writes the bytes of INPUT as C++ to OUTPUT, in a function FUNCTION.
file(READ ${INPUT} digits HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " bytes "${digits}")
string(REGEX REPLACE "((0x.., ){16})" "\\1\n    " bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"bios/boot_rom/boot_rom.h\"

namespace ringshift::bios {

namespace {
constexpr u8 kBytes[] = {
    ${bytes}};
}  // namespace

std::span<const u8> ${FUNCTION}() { return kBytes; }

}  // namespace ringshift::bios
")
