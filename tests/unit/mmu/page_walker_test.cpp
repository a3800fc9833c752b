#include "mmu/page_walker.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

using namespace ringshift;
using cpu::AccessType;
using cpu::PageAccess;
using cpu::PageFault;
using cpu::PagingContext;
using cpu::Privilege;
using cpu::TranslateResult;
using cpu::Translation;
using mmu::PagingModel;

namespace {

constexpr u64 kXd = u64{1} << 63;

struct Tables : mmu::TableMemory {
  u64 read_entry(PhysicalAddress address, unsigned size) override {
    ++reads;
    const u64 value = words[address.value & ~u64{7}];
    return size == 8 ? value : (value >> (8 * (address.value & 4))) & 0xFFFFFFFF;
  }
  bool compare_exchange_entry(PhysicalAddress address, u64 expected, u64 desired,
                              unsigned size) override {
    if (read_entry(address, size) != expected) return false;
    put(address.value, desired, size);
    return true;
  }
  void put(u64 address, u64 value, unsigned size) {
    u64& word = words[address & ~u64{7}];
    if (size == 8) {
      word = value;
    } else {
      const u64 shift = 8 * (address & 4);
      word = (word & ~(u64{0xFFFFFFFF} << shift)) | ((value & 0xFFFFFFFF) << shift);
    }
  }
  u64 get(u64 address, unsigned size) { return read_entry({address}, size); }

  std::map<u64, u64> words;
  unsigned reads = 0;
};

const PageAccess kUserRead{AccessType::Read, Privilege::User};
const PageAccess kUserWrite{AccessType::Write, Privilege::User};
const PageAccess kUserFetch{AccessType::Execute, Privilege::User};
const PageAccess kKernelRead{AccessType::Read, Privilege::Supervisor};
const PageAccess kKernelWrite{AccessType::Write, Privilege::Supervisor};
const PageAccess kKernelFetch{AccessType::Execute, Privilege::Supervisor};

/// The physical address, or the error code negated minus one.
i64 outcome(const TranslateResult& result) {
  if (const auto* fault = std::get_if<PageFault>(&result)) return -1 - i64{fault->error_code};
  return static_cast<i64>(std::get<Translation>(result).address.value);
}
constexpr i64 fault(u32 code) {
  return -1 - i64{code};
}

struct Walker {
  Tables tables;
  PagingContext context;
  PagingModel model;
  i64 operator()(u64 linear, PageAccess access) {
    return outcome(mmu::walk_page_tables(context, {linear}, access, model, tables));
  }
  Translation translation(u64 linear, PageAccess access) {
    return std::get<Translation>(mmu::walk_page_tables(context, {linear}, access, model, tables));
  }
};

/// 32-bit paging: CR3 = 1000h, one page table at 2000h for linear 400000h.
struct Plain : Walker {
  Plain() {
    context.paging = true;
    context.cr3 = 0x1018;  // PWT and PCD don't count
    tables.put(0x1004, 0x2007, 4);
  }
};

}  // namespace

TEST_CASE("without paging linear addresses are physical, 32 bits of them") {
  Walker walk;
  CHECK(walk(0x123456789, kUserWrite) == 0x23456789);
  CHECK(walk.tables.reads == 0);
  const Translation all = walk.translation(0, kKernelRead);
  CHECK((all.readable && all.writable && all.executable));
}

TEST_CASE("32-bit paging: error codes say why") {
  Plain walk;
  CHECK(walk(0x800000, kUserRead) == fault(4));
  CHECK(walk(0x800000, kKernelWrite) == fault(2));
  CHECK(walk(0x401000, kKernelFetch) == fault(0));
  walk.tables.put(0x2004, 0x5001, 4);
  CHECK(walk(0x401ABC, kKernelRead) == 0x5ABC);
  CHECK(walk(0x401ABC, kUserRead) == fault(5));
  CHECK(walk(0x401ABC, kUserWrite) == fault(7));
  CHECK(walk(0x401ABC, kUserFetch) == fault(5));
  CHECK(walk(0x401ABC, kKernelWrite) == 0x5ABC);
  walk.context.write_protect = true;
  CHECK(walk(0x401ABC, kKernelWrite) == fault(3));
}

TEST_CASE("accessed bits at every level, dirty in the leaf of a write, none on a fault") {
  Plain walk;
  walk.tables.put(0x2004, 0x5005, 4);
  CHECK(walk(0x401000, kUserWrite) == fault(7));
  CHECK(walk.tables.get(0x1004, 4) == 0x2007);
  CHECK(walk.tables.get(0x2004, 4) == 0x5005);
  CHECK(walk(0x401000, kUserRead) == 0x5000);
  CHECK(walk.tables.get(0x1004, 4) == 0x2027);
  CHECK(walk.tables.get(0x2004, 4) == 0x5025);
  walk.tables.put(0x2004, 0x5027, 4);
  Translation clean = walk.translation(0x401000, kUserRead);
  CHECK_FALSE(clean.writable);
  CHECK(walk(0x401000, kUserWrite) == 0x5000);
  CHECK(walk.tables.get(0x1004, 4) == 0x2027);
  CHECK(walk.tables.get(0x2004, 4) == 0x5067);
  clean = walk.translation(0x401000, kUserRead);
  CHECK((clean.readable && clean.writable && clean.executable));
}

TEST_CASE("an entry that serves two levels settles") {
  Plain walk;
  walk.tables.put(0x1FFC, 0x1003, 4);  // the directory maps itself
  CHECK(walk(0xFFFFF000, kKernelWrite) == 0x1000);
  CHECK(walk.tables.get(0x1FFC, 4) == 0x1063);
}

TEST_CASE("tables that change at every look can't hang the walk") {
  struct Restless : Tables {
    bool compare_exchange_entry(PhysicalAddress, u64, u64, unsigned) override { return false; }
  } tables;
  PagingContext context;
  context.paging = true;
  tables.put(0, 0x1003, 4);
  tables.put(0x1000, 0x7003, 4);
  CHECK(outcome(mmu::walk_page_tables(context, {4}, kKernelRead, {}, tables)) == 0x7004);
}

TEST_CASE("4 MiB pages need CR4.PSE, reach 36 bits, and have reserved bits") {
  Plain walk;
  walk.tables.put(0x100C, 0x00C0'0087 | 0xF << 13, 4);  // linear C00000h
  walk.context.page_size_extension = true;
  CHECK(walk(0xC12345, kUserRead) == 0xF'00C1'2345);
  const Translation big = walk.translation(0xC12345, kUserWrite);
  CHECK(big.page_size == 4 << 20);
  CHECK(walk.tables.get(0x100C, 4) == (0x00C0'00E7 | 0xF << 13));
  walk.tables.put(0x100C, 0x00C0'0087 | 1 << 17, 4);
  CHECK(walk(0xC12345, kUserRead) == fault(0xD));
  walk.model.physical_address_bits = 40;
  CHECK(walk(0xC12345, kUserRead) == 0x10'00C1'2345);
  walk.tables.put(0x100C, 0x00C0'0087 | 1 << 21, 4);
  CHECK(walk(0xC12345, kKernelWrite) == fault(0xB));
  // Without PSE bit 7 means nothing: the entry points at a table.
  walk.context.page_size_extension = false;
  walk.tables.put(0x100C, 0x3087, 4);
  walk.tables.put(0x3000 + 0x12 * 4, 0x9007, 4);
  CHECK(walk(0xC12345, kUserRead) == 0x9345);
}

TEST_CASE("SMEP and SMAP: the kernel and the user's pages") {
  Plain walk;
  walk.tables.put(0x2004, 0x5007, 4);
  CHECK(walk(0x401000, kKernelFetch) == 0x5000);
  walk.context.smep = true;
  CHECK(walk(0x401000, kKernelFetch) == fault(0x11));
  CHECK(walk(0x401000, kUserFetch) == 0x5000);
  CHECK(walk(0x402000, kUserFetch) == fault(0x14));
  walk.context.smap = true;
  CHECK(walk(0x401000, kKernelRead) == fault(1));
  CHECK(walk(0x401000, kKernelWrite) == fault(3));
  CHECK(walk(0x401000, kUserWrite) == 0x5000);
  walk.context.alignment_check_flag = true;
  CHECK(walk(0x401000, kKernelRead) == 0x5000);
  CHECK(walk(0x401000, {AccessType::Read, Privilege::Supervisor, true}) == fault(1));
  CHECK(walk(0x401000, {AccessType::Write, Privilege::Supervisor, true}) == fault(3));
}

TEST_CASE("PAE: PDPTEs come from the context; execute-disable and reserved bits") {
  Walker walk;
  walk.context.paging = walk.context.pae = true;
  walk.context.pdpte = {0x2001, 0, 0, 0x3001};
  walk.tables.put(0x3000, 0x4007, 8);
  walk.tables.put(0x4008, 0xA'0000'5007 | kXd, 8);
  CHECK(walk(0x40000000, kUserRead) == fault(4));
  CHECK(walk(0xC0001010, kUserRead) == fault(0xD));  // XD is reserved while NXE is clear
  walk.context.no_execute = true;
  CHECK(walk(0xC0001010, kUserRead) == 0xA'0000'5010);
  CHECK(walk(0xC0001010, kUserFetch) == fault(0x15));
  CHECK(walk(0xC0001010, kKernelFetch) == fault(0x11));
  CHECK_FALSE(walk.translation(0xC0001010, kUserRead).executable);
  walk.tables.put(0x3000, 0x4007 | u64{1} << 36, 8);
  CHECK(walk(0xC0001010, kKernelRead) == fault(9));
  walk.tables.put(0x3000, 0x4007 | u64{1} << 62, 8);
  CHECK(walk(0xC0001010, kKernelRead) == fault(9));
  walk.tables.put(0x3008, 0x0060'0187, 8);
  CHECK(walk(0xC0345678, kUserWrite) == 0x0074'5678);
  walk.context.global_pages = true;
  const Translation big = walk.translation(0xC0345678, kUserWrite);
  CHECK(big.page_size == 2 << 20);
  CHECK(big.global);
  walk.tables.put(0x3008, 0x0060'2087, 8);
  CHECK(walk(0xC0345678, kUserWrite) == fault(0xF));
}

TEST_CASE("4-level paging: four tables, 1 GiB pages only where the model has them") {
  Walker walk;
  walk.context.paging = walk.context.pae = walk.context.long_mode = true;
  walk.context.no_execute = true;
  walk.context.cr3 = 0x1000;
  const u64 linear = 0xFFFF'8000'0000'0000 | (u64{5} << 30) | (u64{6} << 21) | 0x7123;
  walk.tables.put(0x1000 + 256 * 8, 0x2007 | u64{1} << 52, 8);
  walk.tables.put(0x2000 + 5 * 8, 0x3007, 8);
  walk.tables.put(0x3000 + 6 * 8, 0x4007, 8);
  walk.tables.put(0x4000 + 7 * 8, 0x9003, 8);
  CHECK(walk(linear, kKernelWrite) == 0x9123);
  CHECK(walk(linear, kUserRead) == fault(5));
  CHECK(walk.tables.get(0x4000 + 7 * 8, 8) == 0x9063);
  walk.tables.put(0x2000 + 5 * 8, 0x4000'0087, 8);
  CHECK(walk(linear, kUserRead) == fault(0xD));
  walk.model.gigabyte_pages = true;
  CHECK(walk(linear, kUserRead) == (0x4000'0000 | (6 << 21) | 0x7123));
  walk.tables.put(0x1000 + 256 * 8, 0x2087, 8);
  CHECK(walk(linear, kUserRead) == fault(0xD));
}

// --- The walk against a second, deliberately plain reading of the manual ---

namespace {

struct Reference {
  Tables& tables;
  const PagingContext& context;
  const PagingModel& model;
  bool rw = true, us = true, xd = false;
  std::vector<std::pair<u64, unsigned>> path;
  u64 leaf = 0;

  static bool bit(u64 value, unsigned n) { return (value >> n & 1) != 0; }

  u32 code(PageAccess access) const {
    u32 result = 0;
    if (access.type == AccessType::Write) result |= 2;
    if (access.privilege == Privilege::User) result |= 4;
    if (access.type == AccessType::Execute &&
        (context.smep || ((context.pae || context.long_mode) && context.no_execute))) {
      result |= 16;
    }
    return result;
  }

  /// Physical address or negative; `state` 0 fine, 1 not present, 2 reserved.
  u64 find(u64 linear, int& state) {
    const unsigned size = context.pae || context.long_mode ? 8 : 4;
    const unsigned index_bits = size == 8 ? 9 : 10;
    int level = context.long_mode ? 4 : 2;
    u64 table = context.cr3 & (context.long_mode ? 0x000FFFFFFFFFF000 : 0xFFFFF000);
    if (context.pae && !context.long_mode) {
      const u64 pdpte = context.pdpte[linear >> 30];
      if (!bit(pdpte, 0)) return state = 1, 0;
      table = pdpte & ~u64{0xFFF} & ((u64{1} << model.physical_address_bits) - 1);
    }
    for (;; --level) {
      const unsigned shift = 12 + index_bits * static_cast<unsigned>(level - 1);
      const u64 address = table + ((linear >> shift) & ((1U << index_bits) - 1)) * size;
      const u64 entry = tables.get(address, size);
      if (!bit(entry, 0)) return state = 1, 0;
      bool large = false;
      if (level == 4 && bit(entry, 7)) return state = 2, 0;
      if (level == 3 && bit(entry, 7)) {
        if (!model.gigabyte_pages) return state = 2, 0;
        large = true;
      }
      if (level == 2) large = bit(entry, 7) && (size == 8 || context.page_size_extension);
      if (size == 8) {
        for (unsigned n = model.physical_address_bits; n < (context.long_mode ? 52U : 63U); ++n) {
          if (bit(entry, n)) return state = 2, 0;
        }
        if (bit(entry, 63) && !context.no_execute) return state = 2, 0;
        for (unsigned n = 13; large && n < shift; ++n) {
          if (bit(entry, n)) return state = 2, 0;
        }
        xd = xd || bit(entry, 63);
      } else if (large) {
        const unsigned wide = std::min(model.physical_address_bits, 40U);
        for (unsigned n = 13; n <= 21; ++n) {
          if (bit(entry, n) && (n == 21 || 32 + (n - 13) >= wide)) return state = 2, 0;
        }
      }
      rw = rw && bit(entry, 1);
      us = us && bit(entry, 2);
      path.push_back({address, size});
      if (level == 1 || large) {
        leaf = entry;
        const u64 low = (u64{1} << shift) - 1;
        if (size == 4 && large) {
          return (entry & 0xFFC00000) | ((entry >> 13 & 0xFF) << 32) | (linear & low);
        }
        return (entry & 0x000FFFFFFFFFFFFF & ~low) | (linear & low);
      }
      table = entry & 0x000FFFFFFFFFF000;
    }
  }

  bool permitted(PageAccess access) const {
    const bool user = access.privilege == Privilege::User;
    switch (access.type) {
      case AccessType::Execute:
        return !xd && (user ? us : !(us && context.smep));
      case AccessType::Read:
      case AccessType::Write:
        if (user && !us) return false;
        if (!user && us && context.smap && !(context.alignment_check_flag && !access.implicit)) {
          return false;
        }
        if (access.type == AccessType::Read || rw) return true;
        return !user && !context.write_protect;
    }
    return false;
  }

  i64 run(u64 linear, PageAccess access) {
    int state = 0;
    const u64 physical = find(linear, state);
    if (state == 1) return fault(code(access));
    if (state == 2) return fault(code(access) | 9);
    if (!permitted(access)) return fault(code(access) | 1);
    for (const auto& [address, size] : path)
      tables.put(address, tables.get(address, size) | 0x20, size);
    if (access.type == AccessType::Write) {
      const auto& [address, size] = path.back();
      tables.put(address, tables.get(address, size) | 0x40, size);
    }
    return static_cast<i64>(physical);
  }
};

}  // namespace

TEST_CASE("random tables: the walk agrees with a plain reading of the manual") {
  std::mt19937_64 random(20240229);
  const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
  // Tables live in a few frames, so that walks meet each other's entries and share levels.
  const auto frame = [&] { return (random() % 4 + 1) << 12; };
  unsigned good = 0, faults = 0;
  for (unsigned round = 0; round < 20000; ++round) {
    PagingContext context;
    context.paging = true;
    context.long_mode = chance(33);
    context.pae = context.long_mode || chance(50);
    context.page_size_extension = chance(60);
    context.write_protect = chance(50);
    context.no_execute = chance(60);
    context.smep = chance(40);
    context.smap = chance(40);
    context.alignment_check_flag = chance(50);
    context.global_pages = chance(50);
    context.cr3 = frame();
    for (u64& pdpte : context.pdpte) pdpte = frame() | (chance(85) ? 1 : 0);
    const PagingModel model{chance(50) ? 36U : 32U + static_cast<unsigned>(random() % 20),
                            chance(50)};

    Tables tables;
    // Few indices are used, so fill exactly those of the linear addresses in play.
    const u64 linear = context.long_mode ? random() & 0x00007FFFFFFFFFFF : random() & 0xFFFFFFFF;
    const unsigned size = context.pae ? 8 : 4;
    const unsigned index_bits = size == 8 ? 9 : 10;
    for (u64 table = 0x1000; table <= 0x4000; table += 0x1000) {
      for (unsigned level = 0; level < 4; ++level) {
        const unsigned shift = 12 + index_bits * level;
        u64 entry = frame() | (chance(93) ? 1 : 0) | (chance(75) ? 2 : 0) | (chance(75) ? 4 : 0) |
                    (chance(30) ? 0x20 : 0) | (chance(20) ? 0x40 : 0) | (chance(20) ? 0x80 : 0) |
                    (chance(20) ? 0x100 : 0);
        if (chance(20)) entry |= random() % 0x100000000 & ~u64{0x1FFFFF};
        if (size == 8 && chance(10)) entry |= u64{1} << (32 + random() % 31);
        if (size == 8 && chance(15)) entry |= kXd;
        if (size == 4 && chance(15)) entry |= u64{1} << (13 + random() % 9);
        // Pointers must lead back into the tables, except from large pages and last levels.
        tables.put(table + ((linear >> shift) & ((1U << index_bits) - 1)) * size, entry, size);
      }
    }
    for (const PageAccess access :
         {kUserRead, kUserWrite, kUserFetch, kKernelRead, kKernelWrite, kKernelFetch,
          PageAccess{AccessType::Read, Privilege::Supervisor, true}}) {
      Tables expected_tables = tables;
      Reference reference{expected_tables, context, model, true, true, false, {}, 0};
      const i64 expected = reference.run(linear, access);
      const TranslateResult result =
          mmu::walk_page_tables(context, {linear}, access, model, tables);
      INFO("round " << round << " linear " << std::hex << linear);
      REQUIRE(outcome(result) == expected);
      REQUIRE(tables.words == expected_tables.words);
      (expected < 0 ? faults : good) += 1;
      if (const auto* translation = std::get_if<Translation>(&result)) {
        REQUIRE(translation->global == ((reference.leaf & 0x100) != 0 && context.global_pages));
        const bool dirty = (tables.get(reference.path.back().first, size) & 0x40) != 0;
        const PageAccess write{AccessType::Write, access.privilege, access.implicit};
        REQUIRE(translation->writable == (dirty && reference.permitted(write)));
      }
    }
  }
  // The generator must reach both outcomes in quantity, or it proves nothing.
  CHECK(good > 20000);
  CHECK(faults > 20000);
}
