; JMP in all forms, LOOP, LOOPE, LOOPNE, JECXZ, JCXZ.

%define MODE user32
%include "common.inc"

        jmp     short near_target
        FAIL
near_target:
        jmp     near far_target
        FAIL
table:  dd      from_table
far_target:
        jmp     [table]
        FAIL
from_table:
        mov     eax, from_register
        jmp     eax
        FAIL
from_register:
        xor     eax, eax
        mov     ecx, 5
again:  inc     eax
        loop    again
        CHECK   eax, 5
        CHECK   ecx, 0
        mov     ecx, 10
equal:  cmp     ecx, 10
        loope   equal
        CHECK   ecx, 8
        mov     ecx, 10
unequal: cmp    ecx, 6
        loopne  unequal
        CHECK   ecx, 5
        mov     ecx, 0x10000
        jecxz   bad
        jcxz    short_count
bad:    FAIL
short_count:
        mov     ecx, 0x10000            ; LOOP with CX: 0 counts as 65536
        a16 loop counted
        FAIL
counted:
        CHECK   ecx, 0x1FFFF
        xor     ecx, ecx
        jecxz   good
        FAIL
good:
