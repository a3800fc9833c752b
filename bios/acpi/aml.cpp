#include "bios/acpi/aml.h"

#include <cstdlib>

#include "bios/little_endian.h"

namespace ringshift::bios::acpi {

namespace {

// Opcodes, ACPI 6.3 §20.3.
constexpr u8 kZero = 0x00, kOne = 0x01, kName = 0x08, kByte = 0x0A, kWord = 0x0B, kDword = 0x0C,
             kString = 0x0D, kQword = 0x0E, kScope = 0x10, kBuffer = 0x11, kPackage = 0x12,
             kMethod = 0x14, kDualName = 0x2E, kMultiName = 0x2F, kExtended = 0x5B, kRoot = 0x5C,
             kParent = 0x5E, kArgument0 = 0x68, kStore = 0x70, kAnd = 0x7B, kOr = 0x7D,
             kCreateDwordField = 0x8A, kLess = 0x95, kIf = 0xA0, kReturn = 0xA4;
constexpr u8 kRegionExtended = 0x80, kFieldExtended = 0x81, kDeviceExtended = 0x82,
             kProcessorExtended = 0x83;
constexpr u8 kByteAccessPreserve = 0x01;
constexpr std::size_t kSegment = 4;

void append(Aml& out, const Aml& part) {
  out.insert(out.end(), part.begin(), part.end());
}

template <typename List>
Aml join(const List& parts) {
  Aml result;
  for (const Aml& part : parts) append(result, part);
  return result;
}

void append_segment(Aml& out, std::string_view segment) {
  if (segment.empty() || segment.size() > kSegment) std::abort();
  append_text(out, segment);
  out.insert(out.end(), kSegment - segment.size(), u8{'_'});
}

Aml operation(u8 opcode, AmlList operands) {
  Aml result = {opcode};
  append(result, join(operands));
  return result;
}

/// An opcode, a package length, then `head` and `body`.
Aml block(std::initializer_list<u8> opcode, const Aml& head, const Aml& body) {
  Aml content = head;
  append(content, body);
  Aml result(opcode);
  append(result, package_length(content));
  append(result, content);
  return result;
}

Aml binary(u8 opcode, const Aml& a, const Aml& b, const Aml& target) {
  return operation(opcode, {a, b, target.empty() ? Aml{kZero} : target});
}

/// The length of a field unit: encoded like a package length, but not counting itself.
Aml field_length(unsigned bits) {
  if (bits < 64) return {static_cast<u8>(bits)};
  return {static_cast<u8>(0x40 | (bits & 0xF)), static_cast<u8>(bits >> 4)};
}

template <typename List>
Aml make_package(const List& elements) {
  return block({kPackage}, {static_cast<u8>(elements.size())}, join(elements));
}

}  // namespace

Aml package_length(const Aml& content) {
  for (unsigned extra = 0; extra < 4; ++extra) {
    const std::size_t total = content.size() + 1 + extra;
    if (extra == 0) {
      if (total < 64) return {static_cast<u8>(total)};
      continue;
    }
    if (total >> (4 + 8 * extra) != 0) continue;
    Aml result = {static_cast<u8>(extra << 6 | (total & 0xF))};
    append_little_endian(result, total >> 4, extra);
    return result;
  }
  std::abort();  // A definition block of 256 MiB.
}

Aml integer(u64 value) {
  Aml result;
  if (value == 0) return {kZero};
  if (value == 1) return {kOne};
  const unsigned size = value <= 0xFF ? 1 : value <= 0xFFFF ? 2 : value <= 0xFFFF'FFFF ? 4 : 8;
  result.push_back(size == 1 ? kByte : size == 2 ? kWord : size == 4 ? kDword : kQword);
  append_little_endian(result, value, size);
  return result;
}

Aml string(std::string_view text) {
  Aml result = {kString};
  append_text(result, text);
  result.push_back(0);
  return result;
}

// Three letters of five bits each, then four hexadecimal digits; big endian (ACPI 6.3 §19.3.4).
Aml eisa_id(std::string_view id) {
  if (id.size() != 7) std::abort();
  const auto letter = [&id](unsigned at) { return static_cast<u32>(id[at] - '@') & 0x1F; };
  u32 value = letter(0) << 26 | letter(1) << 21 | letter(2) << 16;
  for (unsigned i = 3; i < 7; ++i) {
    const char digit = id[i];
    const u32 nibble = static_cast<u32>(digit <= '9' ? digit - '0' : digit - 'A' + 10);
    value |= nibble << (4 * (6 - i));
  }
  return integer(__builtin_bswap32(value));
}

Aml buffer(std::span<const u8> bytes) {
  return block({kBuffer}, integer(bytes.size()), Aml(bytes.begin(), bytes.end()));
}

Aml package(AmlList elements) {
  return make_package(elements);
}
Aml package(const std::vector<Aml>& elements) {
  return make_package(elements);
}

Aml path(std::string_view name) {
  Aml result;
  while (!name.empty() && (name.front() == kRoot || name.front() == kParent)) {
    result.push_back(static_cast<u8>(name.front()));
    name.remove_prefix(1);
  }
  std::vector<std::string_view> segments;
  while (!name.empty()) {
    const std::size_t dot = name.find('.');
    segments.push_back(name.substr(0, dot));
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  if (segments.empty()) result.push_back(kZero);
  if (segments.size() == 2) result.push_back(kDualName);
  if (segments.size() > 2) {
    result.push_back(kMultiName);
    result.push_back(static_cast<u8>(segments.size()));
  }
  for (std::string_view segment : segments) append_segment(result, segment);
  return result;
}

Aml name(std::string_view object, const Aml& value) {
  return operation(kName, {path(object), value});
}

Aml scope(std::string_view object, AmlList body) {
  return block({kScope}, path(object), join(body));
}
Aml scope(std::string_view object, const std::vector<Aml>& body) {
  return block({kScope}, path(object), join(body));
}

Aml device(std::string_view object, AmlList body) {
  return block({kExtended, kDeviceExtended}, path(object), join(body));
}

Aml processor(std::string_view object, u8 identifier, AmlList body) {
  Aml head = path(object);
  head.push_back(identifier);
  head.insert(head.end(), 5, u8{0});  // no processor control block: its address and length
  return block({kExtended, kProcessorExtended}, head, join(body));
}

Aml method(std::string_view object, unsigned arguments, MethodKind kind, AmlList body) {
  Aml head = path(object);
  const unsigned serialized = kind == MethodKind::Serialized ? 0x08 : 0;
  head.push_back(static_cast<u8>(arguments | serialized));
  return block({kMethod}, head, join(body));
}

Aml operation_region(std::string_view object, RegionSpace space, u64 offset, u64 length) {
  return operation(kExtended, {{kRegionExtended},
                               path(object),
                               {static_cast<u8>(space)},
                               integer(offset),
                               integer(length)});
}

Aml byte_field(std::string_view region, std::initializer_list<FieldUnit> units) {
  Aml body = {kByteAccessPreserve};
  for (const FieldUnit& unit : units) {
    if (unit.name.empty()) {
      body.push_back(0);
    } else {
      append_segment(body, unit.name);
    }
    append(body, field_length(unit.bits));
  }
  return block({kExtended, kFieldExtended}, path(region), body);
}

Aml create_dword_field(const Aml& source, u64 byte_offset, std::string_view object) {
  return operation(kCreateDwordField, {source, integer(byte_offset), path(object)});
}

Aml argument(unsigned number) {
  return {static_cast<u8>(kArgument0 + number)};
}
Aml store(const Aml& value, const Aml& target) {
  return operation(kStore, {value, target});
}
Aml bit_and(const Aml& a, const Aml& b, const Aml& target) {
  return binary(kAnd, a, b, target);
}
Aml bit_or(const Aml& a, const Aml& b, const Aml& target) {
  return binary(kOr, a, b, target);
}
Aml less(const Aml& a, const Aml& b) {
  return operation(kLess, {a, b});
}
Aml if_true(const Aml& condition, AmlList body) {
  return block({kIf}, condition, join(body));
}
Aml return_value(const Aml& value) {
  return operation(kReturn, {value});
}

}  // namespace ringshift::bios::acpi
