; ROL, ROR, RCL, RCR; through CF the width is one more.
; undefined: of

%define MODE user32
%include "common.inc"

        mov     eax, 0x80000001
        rol     eax, 1
        CHECK_FLAGS CF | OF, CF | OF
        CHECK   eax, 3
        ror     eax, 2
        CHECK_FLAGS CF, CF
        CHECK   eax, 0xC0000000
        clc
        mov     eax, 0x80000000
        rcl     eax, 1
        CHECK_FLAGS CF | OF, CF | OF
        CHECK   eax, 0
        rcr     eax, 1
        CHECK_FLAGS CF, 0
        CHECK   eax, 0x80000000
        stc
        mov     al, 0x55
        mov     cl, 9                   ; nine bits with CF: all the way round
        rcl     al, cl
        CHECK_FLAGS CF, CF
        CHECK   eax, 0x80000055
        mov     cl, 8
        ror     ax, cl
        CHECK   eax, 0x80005500
        mov     dword [DATA], 0x12345678
        rol     dword [DATA], 8
        CHECK   dword [DATA], 0x34567812
        stc
        rcr     word [DATA], 4
        CHECK   dword [DATA], 0x34565781
