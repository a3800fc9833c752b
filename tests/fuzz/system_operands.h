// Values that make system instructions of random programs do something else than fault: selectors
// of descriptors that exist, numbers of registers that exist, flags that may be set.
#pragma once

#include "tests/fuzz/random.h"
#include "tests/fuzz/test_case.h"

namespace ringshift::tests {

/// The interrupt line of the test machine: see TestPlatform.
inline constexpr u16 kInterruptPort = 0xF0F0;

u16 code_selector(Environment environment);
/// Of a data segment, or not quite.
u16 random_selector(Environment environment, Random& random);
u32 random_flags(Environment environment, Random& random);
/// Changes registers of the test's image.
void arrange_system_operands(TestCase& test, Environment environment, Random& random);

}  // namespace ringshift::tests
