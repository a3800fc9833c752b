// Arithmetic by the host's own ALU, flags included. The guest has the host's instruction set, so
// the host defines what its flags are, the officially undefined ones too: the interpreter agrees
// with natively executed code because it is the same circuit that answers.
//
// Flags travel as the 16-bit "packed" word that LAHF and SETO leave in AX: AH = SF ZF AF PF CF in
// their EFLAGS places, AL = OF. The reverse is ADD AL,7Fh (sets OF from AL) and SAHF.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "cpu/registers.h"

namespace ringshift::cpu {

inline u16 pack_flags(u64 rflags) {
  return static_cast<u16>(((rflags & 0xD5) << 8) | ((rflags >> 11) & 1));
}

/// Replaces the arithmetic flags named by `mask` by the packed ones.
template <u64 mask = eflags::Arithmetic>
inline void merge_flags(u64& rflags, u16 packed) {
  const u64 flags = ((packed >> 8) & 0xD5U) | (u64{packed & 1U} << 11);
  rflags = (rflags & ~mask) | (flags & mask);
}

/// In the encoding order of opcodes 00h-3Fh and of the 80h group.
enum class Alu : u8 { Add, Or, Adc, Sbb, And, Sub, Xor, Cmp, Test };

#define HOST_CAPTURE "\n\tlahf\n\tseto %%al"
#define HOST_RESTORE "addb $0x7f, %%al\n\tsahf\n\t"

template <Alu operation, typename T>
inline T host_alu(T a, T b, u64& rflags) {
  u16 packed;
#define HOST_BINARY(text) \
  asm(text " %[b], %[a]" HOST_CAPTURE : [a] "+r"(a), "=&a"(packed) : [b] "r"(b) : "cc")
#define HOST_CARRY(text)                                  \
  asm("btl $0, %k[f]\n\t" text " %[b], %[a]" HOST_CAPTURE \
      : [a] "+r"(a), "=&a"(packed)                        \
      : [b] "r"(b), [f] "r"(rflags)                       \
      : "cc")
  if constexpr (operation == Alu::Add) HOST_BINARY("add");
  if constexpr (operation == Alu::Or) HOST_BINARY("or");
  if constexpr (operation == Alu::Adc) HOST_CARRY("adc");
  if constexpr (operation == Alu::Sbb) HOST_CARRY("sbb");
  if constexpr (operation == Alu::And) HOST_BINARY("and");
  if constexpr (operation == Alu::Sub) HOST_BINARY("sub");
  if constexpr (operation == Alu::Xor) HOST_BINARY("xor");
  if constexpr (operation == Alu::Cmp) HOST_BINARY("cmp");
  if constexpr (operation == Alu::Test) HOST_BINARY("test");
#undef HOST_BINARY
#undef HOST_CARRY
  merge_flags(rflags, packed);
  return a;
}

enum class Unary : u8 { Inc, Dec, Neg, Not };

template <Unary operation, typename T>
inline T host_unary(T a, u64& rflags) {
  if constexpr (operation == Unary::Not) {
    return static_cast<T>(~a);
  } else {
    u16 packed;
#define HOST_UNARY(text) asm(text " %[a]" HOST_CAPTURE : [a] "+r"(a), "=&a"(packed) : : "cc")
    if constexpr (operation == Unary::Inc) HOST_UNARY("inc");
    if constexpr (operation == Unary::Dec) HOST_UNARY("dec");
    if constexpr (operation == Unary::Neg) HOST_UNARY("neg");
#undef HOST_UNARY
    if constexpr (operation == Unary::Neg)
      merge_flags(rflags, packed);
    else
      merge_flags<eflags::Arithmetic & ~eflags::CF>(rflags, packed);
    return a;
  }
}

/// In the encoding order of the C0h/D0h groups.
enum class Shift : u8 { Rol, Ror, Rcl, Rcr, Shl, Shr, Sal, Sar };

/// Where the operand of a shift lies. Undefined flags differ even in this on some processors.
enum class Place : u8 { Register, Memory };

template <Shift operation, Place place, typename T>
inline T host_shift(T a, u8 count, u64& rflags) {
  u16 packed = pack_flags(rflags);
#define HOST_SHIFT(text)                             \
  if constexpr (place == Place::Memory)              \
    asm(HOST_RESTORE text " %%cl, %[a]" HOST_CAPTURE \
        : [a] "+m"(a), "+a"(packed)                  \
        : "c"(count)                                 \
        : "cc");                                     \
  else                                               \
    asm(HOST_RESTORE text " %%cl, %[a]" HOST_CAPTURE \
        : [a] "+r"(a), "+a"(packed)                  \
        : "c"(count)                                 \
        : "cc")
#define HOST_SHIFT_SIZED(text)           \
  if constexpr (sizeof(T) == 1) {        \
    HOST_SHIFT(text "b");                \
  } else if constexpr (sizeof(T) == 2) { \
    HOST_SHIFT(text "w");                \
  } else {                               \
    HOST_SHIFT(text "l");                \
  }
  if constexpr (operation == Shift::Rol) {
    HOST_SHIFT_SIZED("rol")
  }
  if constexpr (operation == Shift::Ror) {
    HOST_SHIFT_SIZED("ror")
  }
  if constexpr (operation == Shift::Rcl) {
    HOST_SHIFT_SIZED("rcl")
  }
  if constexpr (operation == Shift::Rcr) {
    HOST_SHIFT_SIZED("rcr")
  }
  if constexpr (operation == Shift::Shl || operation == Shift::Sal) {
    HOST_SHIFT_SIZED("shl")
  }
  if constexpr (operation == Shift::Shr) {
    HOST_SHIFT_SIZED("shr")
  }
  if constexpr (operation == Shift::Sar) {
    HOST_SHIFT_SIZED("sar")
  }
#undef HOST_SHIFT_SIZED
#undef HOST_SHIFT
  merge_flags(rflags, packed);
  return a;
}

/// ROL and ROR by an immediate: with counts above 1 some processors leave OF alone in this encoding
/// and compute it in the one with CL, so the host has to execute the immediate's own encoding.
template <Shift operation, Place place, typename T, u8 count>
T host_rotate_by(T a, u64& rflags) {
  u16 packed = pack_flags(rflags);
#define HOST_ROTATE(text)                            \
  if constexpr (place == Place::Memory)              \
    asm(HOST_RESTORE text " %[n], %[a]" HOST_CAPTURE \
        : [a] "+m"(a), "+a"(packed)                  \
        : [n] "i"(count)                             \
        : "cc");                                     \
  else                                               \
    asm(HOST_RESTORE text " %[n], %[a]" HOST_CAPTURE \
        : [a] "+r"(a), "+a"(packed)                  \
        : [n] "i"(count)                             \
        : "cc")
#define HOST_ROTATE_SIZED(text)          \
  if constexpr (sizeof(T) == 1) {        \
    HOST_ROTATE(text "b");               \
  } else if constexpr (sizeof(T) == 2) { \
    HOST_ROTATE(text "w");               \
  } else {                               \
    HOST_ROTATE(text "l");               \
  }
  if constexpr (operation == Shift::Rol)
    HOST_ROTATE_SIZED("rol")
  else
    HOST_ROTATE_SIZED("ror")
#undef HOST_ROTATE_SIZED
#undef HOST_ROTATE
  merge_flags(rflags, packed);
  return a;
}

template <Shift operation, Place place, typename T>
inline T host_rotate_immediate(T a, u8 count, u64& rflags) {
  using Rotate = T (*)(T, u64&);
  static constexpr auto kByCount = []<std::size_t... n>(std::index_sequence<n...>) {
    return std::array<Rotate, sizeof...(n)>{&host_rotate_by<operation, place, T, n>...};
  }
  (std::make_index_sequence<32>{});
  return kByCount[count & 31](a, rflags);
}

enum class DoubleShift : u8 { Left, Right };

template <DoubleShift direction, typename T>
inline T host_double_shift(T a, T b, u8 count, u64& rflags) {
  u16 packed = pack_flags(rflags);
#define HOST_DOUBLE(text)                                \
  asm(HOST_RESTORE text " %%cl, %[b], %[a]" HOST_CAPTURE \
      : [a] "+r"(a), "+a"(packed)                        \
      : [b] "r"(b), "c"(count)                           \
      : "cc")
  if constexpr (direction == DoubleShift::Left)
    HOST_DOUBLE("shld");
  else
    HOST_DOUBLE("shrd");
#undef HOST_DOUBLE
  merge_flags(rflags, packed);
  return a;
}

enum class BitTest : u8 { Test, Set, Reset, Complement };

/// `bit` is taken modulo the width, as for register operands.
template <BitTest operation, typename T>
inline T host_bit(T a, T bit, u64& rflags) {
  u16 packed = pack_flags(rflags);
#define HOST_BIT(text)                             \
  asm(HOST_RESTORE text " %[b], %[a]" HOST_CAPTURE \
      : [a] "+r"(a), "+a"(packed)                  \
      : [b] "r"(bit)                               \
      : "cc")
  if constexpr (operation == BitTest::Test) HOST_BIT("bt");
  if constexpr (operation == BitTest::Set) HOST_BIT("bts");
  if constexpr (operation == BitTest::Reset) HOST_BIT("btr");
  if constexpr (operation == BitTest::Complement) HOST_BIT("btc");
#undef HOST_BIT
  merge_flags(rflags, packed);
  return a;
}

enum class BitScan : u8 { Bsf, Bsr, Tzcnt, Lzcnt, Popcnt };

/// `old` is what the destination keeps where the instruction leaves it alone (BSF of zero).
template <BitScan operation, typename T>
inline T host_scan(T old, T source, u64& rflags) {
  u16 packed = pack_flags(rflags);
#define HOST_SCAN(text)                            \
  asm(HOST_RESTORE text " %[s], %[d]" HOST_CAPTURE \
      : [d] "+r"(old), "+a"(packed)                \
      : [s] "r"(source)                            \
      : "cc")
  if constexpr (operation == BitScan::Bsf) HOST_SCAN("bsf");
  if constexpr (operation == BitScan::Bsr) HOST_SCAN("bsr");
  if constexpr (operation == BitScan::Tzcnt) HOST_SCAN("tzcnt");
  if constexpr (operation == BitScan::Lzcnt) HOST_SCAN("lzcnt");
  if constexpr (operation == BitScan::Popcnt) HOST_SCAN("popcnt");
#undef HOST_SCAN
  merge_flags(rflags, packed);
  return old;
}

enum class Sign : u8 { Unsigned, Signed };

template <typename T>
struct WideProduct {
  T low, high;
};

/// MUL and one-operand IMUL.
template <Sign sign, typename T>
inline WideProduct<T> host_multiply(T a, T b, u64& rflags) {
  u32 packed = pack_flags(rflags);
  if constexpr (sizeof(T) == 1) {
    u32 low = a;
#define HOST_MULTIPLY(text)                                                         \
  asm("movl %[f], %%eax\n\taddb $0x7f, %%al\n\tsahf\n\tmovl %[low], %%eax\n\t" text \
      " %[b]\n\tmovl %%eax, %[low]\n\tlahf\n\tseto %%al\n\tmovl %%eax, %[f]"        \
      : [low] "+&r"(low), [f] "+&r"(packed)                                         \
      : [b] "r"(b)                                                                  \
      : "eax", "cc")
    if constexpr (sign == Sign::Unsigned)
      HOST_MULTIPLY("mulb");
    else
      HOST_MULTIPLY("imulb");
#undef HOST_MULTIPLY
    merge_flags(rflags, static_cast<u16>(packed));
    return {static_cast<T>(low), static_cast<T>(low >> 8)};
  } else {
    u64 low = a;
    u64 high = 0;
#define HOST_MULTIPLY(text)                                                         \
  asm("movl %[f], %%eax\n\taddb $0x7f, %%al\n\tsahf\n\tmovq %[low], %%rax\n\t" text \
      " %[b]\n\tmovq %%rax, %[low]\n\tlahf\n\tseto %%al\n\tmovl %%eax, %[f]"        \
      : [low] "+&r"(low), [f] "+&r"(packed), "+&d"(high)                            \
      : [b] "r"(b)                                                                  \
      : "rax", "cc")
    if constexpr (sign == Sign::Unsigned)
      HOST_MULTIPLY("mul");
    else
      HOST_MULTIPLY("imul");
#undef HOST_MULTIPLY
    merge_flags(rflags, static_cast<u16>(packed));
    return {static_cast<T>(low), static_cast<T>(high)};
  }
}

/// Two- and three-operand IMUL.
template <typename T>
inline T host_multiply_low(T a, T b, u64& rflags) {
  u16 packed = pack_flags(rflags);
  asm(HOST_RESTORE "imul %[b], %[a]" HOST_CAPTURE : [a] "+r"(a), "+a"(packed) : [b] "r"(b) : "cc");
  merge_flags(rflags, packed);
  return a;
}

/// DIV and IDIV of high:low. The caller has made sure that the quotient fits: for 8 bits, `low` is
/// the whole of AX and `high` isn't used.
template <Sign sign, typename T>
inline WideProduct<T> host_divide(u32 low, u32 high, T divisor, u64& rflags) {
  u32 packed = pack_flags(rflags);
#define HOST_DIVIDE(text)                                                           \
  asm("movl %[f], %%eax\n\taddb $0x7f, %%al\n\tsahf\n\tmovl %[low], %%eax\n\t" text \
      " %[b]\n\tmovl %%eax, %[low]\n\tlahf\n\tseto %%al\n\tmovl %%eax, %[f]"        \
      : [low] "+&r"(low), [f] "+&r"(packed), "+&d"(high)                            \
      : [b] "r"(divisor)                                                            \
      : "rax", "cc")
  if constexpr (sign == Sign::Unsigned)
    HOST_DIVIDE("div");
  else
    HOST_DIVIDE("idiv");
#undef HOST_DIVIDE
  merge_flags(rflags, static_cast<u16>(packed));
  if constexpr (sizeof(T) == 1)
    return {static_cast<T>(low), static_cast<T>(low >> 8)};
  else
    return {static_cast<T>(low), static_cast<T>(high)};
}

/// BMI1/BMI2 on two sources with flags.
enum class Bmi : u8 { Andn, Bextr, Bzhi };

template <Bmi operation>
inline u32 host_bmi(u32 a, u32 b, u64& rflags) {
  u16 packed = pack_flags(rflags);
  u32 result;
#define HOST_BMI(text)                  \
  asm(HOST_RESTORE text HOST_CAPTURE    \
      : [d] "=&r"(result), "+a"(packed) \
      : [a] "r"(a), [b] "r"(b)          \
      : "cc")
  if constexpr (operation == Bmi::Andn) HOST_BMI("andnl %[b], %[a], %[d]");
  if constexpr (operation == Bmi::Bextr) HOST_BMI("bextrl %[b], %[a], %[d]");
  if constexpr (operation == Bmi::Bzhi) HOST_BMI("bzhil %[b], %[a], %[d]");
#undef HOST_BMI
  merge_flags(rflags, packed);
  return result;
}

enum class LowestBit : u8 { Isolate, Mask, Reset };  ///< BLSI, BLSMSK, BLSR

template <LowestBit operation>
inline u32 host_lowest_bit(u32 a, u64& rflags) {
  u16 packed = pack_flags(rflags);
  u32 result;
#define HOST_LOWEST(text)                          \
  asm(HOST_RESTORE text " %[a], %[d]" HOST_CAPTURE \
      : [d] "=&r"(result), "+a"(packed)            \
      : [a] "r"(a)                                 \
      : "cc")
  if constexpr (operation == LowestBit::Isolate) HOST_LOWEST("blsil");
  if constexpr (operation == LowestBit::Mask) HOST_LOWEST("blsmskl");
  if constexpr (operation == LowestBit::Reset) HOST_LOWEST("blsrl");
#undef HOST_LOWEST
  merge_flags(rflags, packed);
  return result;
}

/// CRC-32C, one step. SDM 2A CRC32.
template <typename T>
inline u32 host_crc32(u32 crc, T value) {
  if constexpr (sizeof(T) == 1) asm("crc32b %1, %0" : "+r"(crc) : "r"(value));
  if constexpr (sizeof(T) == 2) asm("crc32w %1, %0" : "+r"(crc) : "r"(value));
  if constexpr (sizeof(T) == 4) asm("crc32l %1, %0" : "+r"(crc) : "r"(value));
  return crc;
}

inline u32 host_pdep(u32 source, u32 mask) {
  u32 result;
  asm("pdepl %2, %1, %0" : "=r"(result) : "r"(source), "r"(mask));
  return result;
}

inline u32 host_pext(u32 source, u32 mask) {
  u32 result;
  asm("pextl %2, %1, %0" : "=r"(result) : "r"(source), "r"(mask));
  return result;
}

#undef HOST_CAPTURE
#undef HOST_RESTORE

}  // namespace ringshift::cpu
