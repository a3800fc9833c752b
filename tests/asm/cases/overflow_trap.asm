; #OF is a trap: EIP is after INTO; without OF nothing happens.
; fault: 4

%define MODE user32
%include "common.inc"

        xor     eax, eax
        into
        mov     eax, 0x7FFFFFFF
        inc     eax
        into
