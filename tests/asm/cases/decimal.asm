; DAA, DAS, AAA, AAS, AAM, AAD.
; undefined: of cf af zf sf pf

%define MODE user32
%include "common.inc"

        mov     eax, 0x79
        add     al, 0x35
        daa
        CHECK_FLAGS CF, CF
        CHECK   eax, 0x14
        mov     eax, 0x35
        sub     al, 0x47
        das
        CHECK_FLAGS CF, CF
        CHECK   eax, 0x88
        mov     eax, 0x0038
        add     al, 0x39
        aaa
        CHECK_FLAGS CF | AF, CF | AF
        CHECK   eax, 0x0107
        mov     eax, 0x0200
        sub     al, 9
        aas
        CHECK_FLAGS CF | AF, CF | AF
        CHECK   eax, 0x0101
        mov     eax, 63
        aam
        CHECK   eax, 0x0603
        aad
        CHECK   eax, 63
        aam     16
        CHECK   eax, 0x030F
        aad     16
        CHECK   eax, 0x3F
