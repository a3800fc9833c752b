; SHLD and SHRD.
; undefined: af of

%define MODE user32
%include "common.inc"

        mov     eax, 0x12345678
        mov     edx, 0x9ABCDEF0
        shld    eax, edx, 8
        CHECK   eax, 0x3456789A
        shrd    eax, edx, 16
        CHECK   eax, 0xDEF03456
        mov     cl, 32
        stc
        shld    eax, edx, cl
        CHECK_FLAGS CF, CF
        CHECK   eax, 0xDEF03456
        mov     cl, 4
        mov     dword [DATA], 0x80000000
        shld    [DATA], edx, cl
        CHECK_FLAGS CF, 0
        CHECK   dword [DATA], 9
        mov     word [DATA], 0x1234
        shrd    [DATA], dx, 12
        CHECK   dword [DATA], 0xEF01
