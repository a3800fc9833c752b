; ANDN, BEXTR, BLSI, BLSMSK, BLSR, BZHI, PDEP, PEXT, MULX, RORX, SARX, SHLX, SHRX.
; undefined: af pf sf of

%define MODE user32
%include "common.inc"

        mov     ecx, 0xFF00FF00
        mov     edx, 0x0FF00FF0
        andn    eax, ecx, edx
        CHECK   eax, 0x00F000F0
        mov     edx, 0x0C08             ; 12 bits from bit 8
        bextr   eax, ecx, edx
        CHECK   eax, 0x0FF
        blsi    eax, ecx
        CHECK_FLAGS CF | ZF, CF
        CHECK   eax, 0x100
        blsmsk  eax, ecx
        CHECK   eax, 0x1FF
        blsr    eax, ecx
        CHECK   eax, 0xFF00FE00
        mov     edx, 12
        bzhi    eax, ecx, edx
        CHECK   eax, 0xF00
        mov     edx, 0xABCD
        pdep    eax, edx, ecx
        CHECK   eax, 0xAB00CD00
        pext    edx, eax, ecx
        CHECK   edx, 0xABCD
        mov     edx, 0x10001
        stc
        mulx    ebx, esi, ecx
        CHECK_FLAGS CF, CF
        CHECK   esi, 0xFE00FF00
        CHECK   ebx, 0xFF01
        rorx    eax, ecx, 8
        CHECK   eax, 0x00FF00FF
        mov     edx, 36
        sarx    eax, ecx, edx
        CHECK   eax, 0xFFF00FF0
        shlx    eax, ecx, edx
        CHECK   eax, 0xF00FF000
        shrx    eax, ecx, edx
        CHECK   eax, 0x0FF00FF0
