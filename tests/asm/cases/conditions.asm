; CMOVcc, SETcc and Jcc: all sixteen conditions on flags given by SAHF and an overflow.

%define MODE user32
%include "common.inc"

%macro CONDITION 2              ; condition, 1 if it holds
        set%1   bl
        movzx   ebx, bl
        CHECK   ebx, %2
        mov     ecx, 7
        mov     edx, 9
        cmov%1  ecx, edx
        CHECK   ecx, 7 + 2 * %2
        mov     esi, 1
        j%1     %%taken
        mov     esi, 0
%%taken:
        CHECK   esi, %2
%endmacro
        mov     eax, 1
        cmp     eax, 2                  ; CF SF, less
        CONDITION o, 0
        CONDITION no, 1
        CONDITION b, 1
        CONDITION ae, 0
        CONDITION e, 0
        CONDITION ne, 1
        CONDITION be, 1
        CONDITION a, 0
        CONDITION s, 1
        CONDITION ns, 0
        CONDITION p, 1
        CONDITION np, 0
        CONDITION l, 1
        CONDITION ge, 0
        CONDITION le, 1
        CONDITION g, 0
        mov     eax, 0x80000000
        sub     eax, 1                  ; OF, not SF: less though positive
        CONDITION o, 1
        CONDITION b, 0
        CONDITION s, 0
        CONDITION l, 1
        CONDITION le, 1
        CONDITION a, 1
        cmp     eax, eax
        CONDITION e, 1
        CONDITION be, 1
        CONDITION ge, 1
        CONDITION le, 1
