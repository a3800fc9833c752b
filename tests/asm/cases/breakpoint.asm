; #BP is a trap: EIP is after INT3.
; fault: 3
; expect: eip=0x42000002

%define MODE user32
%include "common.inc"

        nop
        int3
