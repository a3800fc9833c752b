#!/usr/bin/env bash
# memtest.sh RINGSHIFT MEMORY TEST: memtest86+ from its CD reaches test number TEST without an error.
source "$(dirname "$0")/lib.sh"
boot "$guests/memtest/memtest.iso" --memory "$1" --serial none --timeout 880 \
  --fail-on 'Errors: *[1-9]' --fail-on 'Unexpected' --expect "Test #$2"
wants 0
