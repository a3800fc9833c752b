// What the processor needs from the memory system, as an interface, so that cpu/ depends on
// nothing: physical access, page translation and host pointers worth caching. mmu/ implements it.
#pragma once

#include <array>
#include <variant>

#include "cpu/types.h"

namespace ringshift::cpu {

enum class AccessType : u8 { Read, Write, Execute };
enum class Privilege : u8 { Supervisor, User };

/// One access, as paging sees it.
struct PageAccess {
  AccessType type = AccessType::Read;
  Privilege privilege = Privilege::Supervisor;
  /// An implicit supervisor access (descriptor tables, TSS): SMAP applies even when EFLAGS.AC is
  /// set. SDM 3A §4.6.1.
  bool implicit = false;
};

/// Everything besides memory that a translation depends on. SDM 3A §4.1.
struct PagingContext {
  u64 cr3 = 0;
  std::array<u64, 4> pdpte{};  ///< PAE only: loaded by MOV CR3, not read at each walk
  bool paging = false;
  bool pae = false;
  bool long_mode = false;
  bool page_size_extension = false;
  bool write_protect = false;
  bool no_execute = false;  ///< EFER.NXE
  bool smep = false;
  bool smap = false;
  bool alignment_check_flag = false;  ///< EFLAGS.AC, which suspends SMAP for explicit accesses
  bool global_pages = false;
};

/// A legal translation. A/D bits have been set in the guest's tables as the access demands.
struct Translation {
  PhysicalAddress address;
  u64 page_size = kPageSize;
  bool global = false;
  // What else may be done through this translation without asking again (rights and dirty bit).
  bool readable = false;
  bool writable = false;
  bool executable = false;
};

/// A page fault's error code. SDM 3A §4.7.
struct PageFault {
  u32 error_code = 0;
};

using TranslateResult = std::variant<Translation, PageFault>;

/// A page of guest memory in this process. Null: each access must go through the port.
struct HostPage {
  const u8* read = nullptr;
  u8* write = nullptr;
};

class MemoryPort {
 public:
  virtual ~MemoryPort() = default;

  /// Walks the guest's page tables (A20 is not applied here: see `mask_a20`).
  virtual TranslateResult translate(const PagingContext& context, LinearAddress linear,
                                    PageAccess access) = 0;
  /// Reads or writes 1, 2, 4 or 8 bytes of RAM, ROM or device memory.
  virtual u64 read_physical(PhysicalAddress address, unsigned size) = 0;
  virtual void write_physical(PhysicalAddress address, u64 value, unsigned size) = 0;
  /// The address with the A20 gate applied.
  virtual PhysicalAddress mask_a20(PhysicalAddress address) const = 0;
  virtual HostPage host_page(PhysicalAddress page) = 0;

  /// From now on writes to this page by anybody call CodeObserver::on_code_write.
  virtual void watch_code(PhysicalAddress page) = 0;
  virtual void unwatch_code(PhysicalAddress page) = 0;
};

/// The processor as the memory system sees it.
class CodeObserver {
 public:
  virtual ~CodeObserver() = default;
  /// `length` bytes at `address` (within one page) of a watched page are changing.
  virtual void on_code_write(PhysicalAddress address, u64 length) = 0;
  /// The whole pages of [first, first + length) are mapped otherwise (BAR moved, PAM, A20): host
  /// pointers are stale.
  virtual void on_memory_remapped(PhysicalAddress first, u64 length) = 0;
  /// Writes to this page must come through the port from now on: writable host pointers to it are
  /// stale.
  virtual void on_page_watched(PhysicalAddress page) { static_cast<void>(page); }
};

}  // namespace ringshift::cpu
