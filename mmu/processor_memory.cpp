#include "mmu/processor_memory.h"

namespace ringshift::mmu {

ProcessorMemory::ProcessorMemory(MemoryMap& map, PagingModel model) : map_(map), model_(model) {
  map_.observe_remaps(*this);
}

ProcessorMemory::~ProcessorMemory() {
  map_.ignore_remaps(*this);
  map_.forget(*this);
}

void ProcessorMemory::set_a20(bool enabled) {
  const u64 mask = enabled ? kA20Enabled : kA20Disabled;
  if (mask == a20_mask_) return;
  a20_mask_ = mask;
  constexpr u64 kAll = ~kPageMask;
  on_remapped({0}, kAll);
  if (a20_observer_ != nullptr) a20_observer_->on_remapped({0}, kAll);
}

cpu::TranslateResult ProcessorMemory::translate(const cpu::PagingContext& context,
                                                LinearAddress linear, cpu::PageAccess access) {
  return walk_page_tables(context, linear, access, model_, *this);
}

cpu::TranslateResult ProcessorMemory::translate(const cpu::PagingContext& context,
                                                LinearAddress linear, cpu::PageAccess access,
                                                WalkTrace& trace) {
  return walk_page_tables(context, linear, access, model_, *this, &trace);
}

u64 ProcessorMemory::read_physical(PhysicalAddress address, unsigned size) {
  const PhysicalAddress at = mask_a20(address);
  if (map_.host_page(at.page()).read == nullptr) {
    ++slow_accesses_;
    if (journal_ != nullptr && !journal_->on_device_read(at, size)) return ~u64{0};
  }
  return map_.read_value(at, size);
}

void ProcessorMemory::write_physical(PhysicalAddress address, u64 value, unsigned size) {
  const PhysicalAddress at = mask_a20(address);
  if (journal_ != nullptr && !journal_->on_write(at, value, size)) return;
  if (map_.host_page(at.page()).write == nullptr) ++slow_accesses_;
  map_.write_value(at, value, size);
}

cpu::HostPage ProcessorMemory::host_page(PhysicalAddress page) {
  cpu::HostPage host = map_.host_page(mask_a20(page));
  if (journal_ != nullptr) host.write = nullptr;
  return host;
}

void ProcessorMemory::watch_code(PhysicalAddress page) {
  map_.watch(mask_a20(page), *this);
}
void ProcessorMemory::unwatch_code(PhysicalAddress page) {
  map_.unwatch(mask_a20(page), *this);
}

void ProcessorMemory::on_watched_write(PhysicalAddress address, u64 length) {
  if (observer_ != nullptr) observer_->on_code_write(address, length);
}

void ProcessorMemory::on_remapped(PhysicalAddress first, u64 length) {
  if (observer_ != nullptr) observer_->on_memory_remapped(first, length);
}

void ProcessorMemory::on_watched(PhysicalAddress page) {
  if (observer_ != nullptr) observer_->on_page_watched(page);
}

u64 ProcessorMemory::read_entry(PhysicalAddress address, unsigned size) {
  return map_.read_value(mask_a20(address), size);
}

bool ProcessorMemory::compare_exchange_entry(PhysicalAddress address, u64 expected, u64 desired,
                                             unsigned size) {
  return map_.compare_exchange(mask_a20(address), expected, desired, size);
}

}  // namespace ringshift::mmu
