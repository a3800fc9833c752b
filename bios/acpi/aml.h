// ACPI machine language, written from C++: each function yields the bytes of one term, so that a
// definition block reads like its ASL source and needs no compiler when Ringshift is built. Only
// what our tables use is here. Source: ACPI 6.3 §20.2, the AML grammar.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "cpu/types.h"

namespace ringshift::bios::acpi {

using Aml = std::vector<u8>;
using AmlList = std::initializer_list<Aml>;

// --- Data ----------------------------------------------------------------------------------------

/// The shortest encoding of `value`.
Aml integer(u64 value);
Aml string(std::string_view text);
/// A compressed EISA identifier such as "PNP0A03", as an integer.
Aml eisa_id(std::string_view id);
Aml buffer(std::span<const u8> bytes);
Aml package(AmlList elements);
Aml package(const std::vector<Aml>& elements);
/// A name: up to any number of four-character segments separated by dots, after `\` or `^`.
Aml path(std::string_view name);

// --- Named objects -------------------------------------------------------------------------------

Aml name(std::string_view object, const Aml& value);
Aml scope(std::string_view object, AmlList body);
Aml scope(std::string_view object, const std::vector<Aml>& body);
Aml device(std::string_view object, AmlList body);
Aml processor(std::string_view object, u8 identifier, AmlList body);

enum class MethodKind : u8 { Concurrent, Serialized };
Aml method(std::string_view object, unsigned arguments, MethodKind kind, AmlList body);

enum class RegionSpace : u8 { SystemMemory = 0, SystemIo = 1, PciConfig = 2 };
Aml operation_region(std::string_view object, RegionSpace space, u64 offset, u64 length);

struct FieldUnit {
  std::string_view name;  ///< empty: reserved bits
  unsigned bits;
};
/// A field with byte access, no lock, preserving the rest.
Aml byte_field(std::string_view region, std::initializer_list<FieldUnit> units);
Aml create_dword_field(const Aml& source, u64 byte_offset, std::string_view object);

// --- Expressions and statements
// -------------------------------------------------------------------

Aml argument(unsigned number);
Aml store(const Aml& value, const Aml& target);
/// `a & b` and `a | b`, the result going to `target`; an empty target discards it.
Aml bit_and(const Aml& a, const Aml& b, const Aml& target = {});
Aml bit_or(const Aml& a, const Aml& b, const Aml& target = {});
Aml less(const Aml& a, const Aml& b);
Aml if_true(const Aml& condition, AmlList body);
Aml return_value(const Aml& value);

/// A length in front of `content`, itself counted in (PkgLength), of 1 to 4 bytes.
Aml package_length(const Aml& content);

}  // namespace ringshift::bios::acpi
