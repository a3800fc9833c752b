; CLC, STC, CMC, CLD, STD; PUSHF and POPF at CPL 3: IF and IOPL stay.

%define MODE user32
%include "common.inc"

        stc
        CHECK_FLAGS CF, CF
        cmc
        CHECK_FLAGS CF, 0
        cmc
        clc
        CHECK_FLAGS CF, 0
        std
        CHECK_FLAGS DF, DF
        cld
        CHECK_FLAGS DF, 0
        push    dword ID | NT | 0x3000 | ARITHMETIC
        popfd
        pushfd
        pop     eax
        CHECK   eax, ID | NT | IF | ARITHMETIC | 2
        push    word 0
        popfw
        pushfw
        pop     ax
        CHECK   eax, ID | IF | 2
        push    dword 0x202
        popfd
