#include "bios/acpi/table_loader.h"

#include <cstdlib>

#include "bios/little_endian.h"

namespace ringshift::bios::acpi {

namespace {
constexpr u32 kAllocate = 1, kAddPointer = 2, kAddChecksum = 3;
constexpr std::size_t kNameSize = 56;
}  // namespace

void TableLoaderScript::begin(u32 command) {
  append_little_endian(bytes_, command, 4);
}

void TableLoaderScript::end() {
  bytes_.resize((bytes_.size() + kEntrySize - 1) / kEntrySize * kEntrySize);
}

void TableLoaderScript::append_name(std::string_view file) {
  if (file.size() >= kNameSize) std::abort();
  append_text(bytes_, file);
  bytes_.resize(bytes_.size() + kNameSize - file.size());
}

void TableLoaderScript::allocate(std::string_view file, u32 alignment, Zone zone) {
  begin(kAllocate);
  append_name(file);
  append_little_endian(bytes_, alignment, 4);
  bytes_.push_back(static_cast<u8>(zone));
  end();
}

void TableLoaderScript::add_pointer(std::string_view file, u32 offset, u8 size,
                                    std::string_view source) {
  begin(kAddPointer);
  append_name(file);
  append_name(source);
  append_little_endian(bytes_, offset, 4);
  bytes_.push_back(size);
  end();
}

void TableLoaderScript::add_checksum(std::string_view file, u32 offset, u32 first, u32 length) {
  begin(kAddChecksum);
  append_name(file);
  for (u32 value : {offset, first, length}) append_little_endian(bytes_, value, 4);
  end();
}

}  // namespace ringshift::bios::acpi
