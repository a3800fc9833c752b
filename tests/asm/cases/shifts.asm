; SHL, SHR, SAR by 1, CL and immediates; counts are taken modulo 32.
; undefined: af of

%define MODE user32
%include "common.inc"

        mov     eax, 0x80000001
        shl     eax, 1
        CHECK_FLAGS CF | OF | ZF | SF | PF, CF | OF
        CHECK   eax, 2
        mov     eax, 0x80000001
        shr     eax, 1
        CHECK_FLAGS CF | OF | ZF | SF | PF, CF | OF | PF
        CHECK   eax, 0x40000000
        mov     eax, 0x80000001
        sar     eax, 1
        CHECK_FLAGS CF | OF | ZF | SF | PF, CF | SF | PF
        CHECK   eax, 0xC0000000
        mov     cl, 33                  ; the same as 1
        mov     eax, 0x40000000
        sal     eax, cl
        CHECK   eax, 0x80000000
        mov     cl, 32                  ; nothing at all, flags included
        stc
        shr     eax, cl
        CHECK_FLAGS CF, CF
        CHECK   eax, 0x80000000
        sar     eax, 31
        CHECK   eax, 0xFFFFFFFF
        mov     ax, 0x8000
        shr     ax, 15
        CHECK   eax, 0xFFFF0001
        mov     byte [DATA], 0x81
        sar     byte [DATA], 7
        CHECK_FLAGS CF | ZF | SF, SF
        CHECK   dword [DATA], 0xFF
        mov     byte [DATA], 0x81
        mov     cl, 16                  ; more than the operand has
        shl     byte [DATA], cl
        CHECK   dword [DATA], 0
