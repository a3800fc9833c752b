#include "tests/asm/compare.h"

#include <cpuid.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace ringshift::tests {

const char* const kGprNames[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};

namespace {

/// A field of the FXSAVE area. SDM 1 §10.5.1 table 10-2.
struct Field {
  const char* name;
  unsigned offset;
  unsigned length;
  bool pointer = false;
};

constexpr Field kFields[] = {
    {"fcw", 0, 2},        {"fsw", 2, 2},        {"ftw", 4, 1},
    {"fop", 6, 2, true},  {"fip", 8, 4},        {"fcs", 12, 2, true},
    {"fdp", 16, 4, true}, {"fds", 20, 2, true}, {"mxcsr", 24, 4},
};
constexpr unsigned kStack = 32, kXmm = 160;

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  return line;
}

/// A numbered field is named by what `name` has before and after its '#'. Names are made only when
/// needed: this runs once for each fuzz case.
void compare_bytes(std::vector<std::string>& out, std::string_view name, unsigned number,
                   const u8* left, const u8* right, unsigned length) {
  if (std::memcmp(left, right, length) == 0) return;
  std::string full(name);
  if (const std::size_t hash = full.find('#'); hash != std::string::npos) {
    full.replace(hash, 1, std::to_string(number));
  }
  out.push_back(full + ": " + hexadecimal({left, length}) + ", " + hexadecimal({right, length}));
}

}  // namespace

bool host_saves_x87_pointers_alike() {
  constexpr unsigned kAlike = 1U << 6 | 1U << 13;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kAlike) == kAlike;
}

std::string hexadecimal(std::span<const u8> bytes) {
  std::string out;
  for (const u8 byte : bytes) out += text(out.empty() ? "%02X" : " %02X", unsigned{byte});
  return out;
}

std::vector<std::string> differences(const CpuImage& left, const Outcome& left_outcome,
                                     const CpuImage& right, const Outcome& right_outcome,
                                     const Tolerance& tolerance) {
  std::vector<std::string> out;
  Outcome left_seen = left_outcome, right_seen = right_outcome;
  if (tolerance.cr2_in_page) {
    left_seen.cr2 &= ~static_cast<u32>(kPageMask);
    right_seen.cr2 &= ~static_cast<u32>(kPageMask);
  }
  if (!(left_seen == right_seen)) {
    out.push_back("outcome: " + describe(left_outcome) + ", " + describe(right_outcome));
  }
  for (unsigned n = 0; n < 8; ++n) {
    if (left.gpr[n] == right.gpr[n]) continue;
    out.push_back(text("%s: %08X, %08X", kGprNames[n], left.gpr[n], right.gpr[n]));
  }
  if (left.eip != right.eip) out.push_back(text("eip: %08X, %08X", left.eip, right.eip));
  if (((left.eflags ^ right.eflags) & ~tolerance.eflags) != 0) {
    out.push_back(text("eflags: %08X, %08X", left.eflags, right.eflags));
  }
  const u8* a = left.extended.legacy.data();
  const u8* b = right.extended.legacy.data();
  for (const Field& field : kFields) {
    if (field.pointer && tolerance.x87_pointers) continue;
    compare_bytes(out, field.name, 0, a + field.offset, b + field.offset, field.length);
  }
  for (unsigned n = 0; n < 8; ++n) {
    const unsigned at = kStack + 16 * n;
    compare_bytes(out, "st#", n, a + at, b + at, 10);
  }
  for (unsigned n = 0; n < 8; ++n) {
    compare_bytes(out, "xmm#", n, a + kXmm + 16 * n, b + kXmm + 16 * n, 16);
    compare_bytes(out, "ymm# high", n, left.extended.ymm_high.data() + 16 * n,
                  right.extended.ymm_high.data() + 16 * n, 16);
  }
  return out;
}

std::string memory_difference(std::string_view name, u32 address, std::span<const u8> left,
                              std::span<const u8> right) {
  if (std::memcmp(left.data(), right.data(), left.size()) == 0) return {};
  std::size_t first = 0;
  while (left[first] == right[first]) ++first;
  const std::size_t length = std::min<std::size_t>(32, left.size() - first);
  return std::string(name) + text(" at %08X: ", address + static_cast<u32>(first)) +
         hexadecimal(left.subspan(first, length)) + ", " +
         hexadecimal(right.subspan(first, length));
}

std::string describe(const Outcome& outcome) {
  switch (outcome.ending) {
    case Ending::Reached:
      return "reached";
    case Ending::OutOfSteps:
      return "out of steps";
    case Ending::Fault:
      break;
  }
  if (outcome.vector == 14) {
    return text("fault 14 error %X cr2 %08X", outcome.error_code, outcome.cr2);
  }
  return text("fault %u error %X", unsigned{outcome.vector}, outcome.error_code);
}

std::string describe(const CpuImage& image) {
  std::string out;
  for (unsigned n = 0; n < 8; ++n) out += text("%s=%08X ", kGprNames[n], image.gpr[n]);
  out += text("\neip=%08X eflags=%08X\n", image.eip, image.eflags);
  const u8* legacy = image.extended.legacy.data();
  for (const Field& field : kFields) {
    out += std::string(field.name) + "=" + hexadecimal({legacy + field.offset, field.length}) + " ";
  }
  out += "(little endian)\n";
  for (unsigned n = 0; n < 8; ++n) {
    out += text("st%u=", n) + hexadecimal({legacy + kStack + 16 * n, 10}) + (n % 2 ? "\n" : "  ");
  }
  for (unsigned n = 0; n < 8; ++n) {
    out += text("ymm%u=", n) + hexadecimal({legacy + kXmm + 16 * n, 16}) + " | " +
           hexadecimal({image.extended.ymm_high.data() + 16 * n, 16}) + "\n";
  }
  return out;
}

}  // namespace ringshift::tests
