#!/usr/bin/env bash
# memtest.sh RINGSHIFT MEMORY TEST: memtest86+ from its CD reaches test number TEST (2 to 9) or a later one, since a short
# test may come and go between two looks at the screen, without an error.
source "$(dirname "$0")/lib.sh"
boot "$guests/memtest/memtest.iso" --memory "$1" --serial none --timeout 880 \
  --fail-on 'Errors: *[1-9]' --fail-on 'Unexpected' --expect "Test #([$2-9]|1[0-9])"
wants 0
