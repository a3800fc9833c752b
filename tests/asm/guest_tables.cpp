#include "tests/asm/guest_tables.h"

namespace ringshift::tests {

using namespace guest;

namespace {

constexpr u32 kKernel = layout::kKernel;
constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kLarge = 0x80, kNx = u64{1} << 63;

/// A base address as it is spread over a descriptor. SDM 3A §3.4.5.
constexpr u64 descriptor_base(u64 base) {
  return (base & 0xFFFFFF) << 16 | (base >> 24 & 0xFF) << 56;
}

}  // namespace

void build_page_tables(mmu::MemoryMap& map) {
  const auto write64 = [&](u64 physical, u64 value) { map.write_value({physical}, value, 8); };
  const auto directory_slot = [](u32 linear) { return (linear >> 21 & 0x1FF) * 8; };
  const auto table_slot = [](u32 linear) { return (linear >> 12 & 0x1FF) * 8; };
  write64(kPdpt, kDirectoryLow | kPresent);
  write64(kPdpt + 8, kDirectoryHigh | kPresent);
  constexpr u64 kTableRights = kPresent | kWritable | kUser;
  write64(kDirectoryHigh + directory_slot(kKernel), kPresent | kWritable | kLarge);
  write64(kDirectoryLow + directory_slot(layout::kData), kDataTable | kTableRights);
  write64(kDirectoryLow + directory_slot(layout::kStack), kStackTable | kTableRights);
  write64(kDirectoryHigh + directory_slot(layout::kCode), kCodeTable | kTableRights);
  for (u32 page = 0; page <= layout::kDataPages; ++page) {
    const u64 rights = page < layout::kDataPages ? kTableRights : kPresent | kUser;
    const u32 linear = layout::kData + page * static_cast<u32>(kPageSize);
    write64(kDataTable + table_slot(linear), (kDataPhysical + page * kPageSize) | rights | kNx);
  }
  write64(kStackTable + table_slot(layout::kStack), kStackPhysical | kTableRights | kNx);
  for (u32 page = 0; page < layout::kCodePages; ++page) {
    const u32 linear = layout::kCode + page * static_cast<u32>(kPageSize);
    write64(kCodeTable + table_slot(linear), (kCodePhysical + page * kPageSize) | kTableRights);
  }
}

void build_descriptors(mmu::MemoryMap& map) {
  const auto write64 = [&](u64 physical, u64 value) { map.write_value({physical}, value, 8); };
  write64(kGdt, 0);
  write64(kGdt + 0x08, 0x00CF'9B00'0000'FFFF);
  write64(kGdt + 0x10, 0x00CF'9300'0000'FFFF);
  write64(kGdt + 0x18, 0);
  write64(kGdt + 0x20, 0x00CF'FB00'0000'FFFF);
  write64(kGdt + 0x28, 0x00CF'F300'0000'FFFF);
  write64(kGdt + 0x30, descriptor_base(kKernel + kTss) | 0x0000'8B00'0000'0067);
  for (u64 slot = 0x38; slot < 0x100; slot += 8) write64(kGdt + slot, 0);
  for (u64 at = 0; at < 0x68; at += 8) write64(kTss + at, 0);
  map.write_value({kTss + 4}, kKernel + kKernelStackTop, 4);
  map.write_value({kTss + 8}, 0x10, 4);
  map.write_value({kTss + 0x1C}, kPdpt, 4);       // CR3: never saved by a task switch, only loaded
  map.write_value({kTss + 0x64}, 0x00680000, 4);  // no I/O bitmap
  for (u64 vector = 0; vector < 256; ++vector) {
    const u64 handler = kKernel + kHandlers + vector * kHandlerSize;
    const u64 dpl = vector == 3 || vector == 4 ? 3 : 0;
    write64(kIdt + vector * 8,
            (handler & 0xFFFF) | 0x08 << 16 | (0x8E00 | dpl << 13) << 32 | (handler >> 16 << 48));
    map.write_value({handler - kKernel}, kHlt, 1);
  }
}

void enable_tables(cpu::State& state, const cpu::CpuidModel& model) {
  state.cr0 = cpu::cr0::PE | cpu::cr0::MP | cpu::cr0::ET | cpu::cr0::NE | cpu::cr0::WP |
              cpu::cr0::AM | cpu::cr0::PG;
  state.cr4 = cpu::cr4::PAE | cpu::cr4::OSFXSR | cpu::cr4::OSXMMEXCPT;
  if (model.has(cpu::Feature::Xsave)) {
    constexpr u64 kSse = 3, kSseAndAvx = 7;
    state.cr4 |= cpu::cr4::OSXSAVE;
    state.xcr0 = model.has(cpu::Feature::Avx) ? kSseAndAvx : kSse;
  }
  state.efer = cpu::efer::NXE;
  state.cr3 = kPdpt;
  state.pdpte = {kDirectoryLow | kPresent, kDirectoryHigh | kPresent, 0, 0};
  state.gdtr = {kKernel + kGdt, 0xFF};
  state.idtr = {kKernel + kIdt, 0x7FF};
  state.tr = {};
  state.tr.selector = 0x30;
  state.tr.base = kKernel + kTss;
  state.tr.limit = 0x67;
  state.tr.type = 0xB;
  state.tr.present = true;
  state.ldtr = {};
}

}  // namespace ringshift::tests
