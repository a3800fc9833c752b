; BSF, BSR, TZCNT, LZCNT, POPCNT.
; undefined: of sf af pf cf

%define MODE user32
%include "common.inc"

        mov     ecx, 0x00F00000
        bsf     eax, ecx
        CHECK_FLAGS ZF, 0
        CHECK   eax, 20
        bsr     eax, ecx
        CHECK   eax, 23
        xor     ecx, ecx
        bsf     edx, ecx
        CHECK_FLAGS ZF, ZF
        tzcnt   eax, ecx
        CHECK_FLAGS CF, CF
        CHECK   eax, 32
        lzcnt   ax, cx
        CHECK   eax, 16
        mov     ecx, 0x00010000
        tzcnt   eax, ecx
        CHECK_FLAGS CF | ZF, 0
        CHECK   eax, 16
        lzcnt   eax, ecx
        CHECK   eax, 15
        mov     dword [DATA], 0xF0F01111
        popcnt  eax, [DATA]
        CHECK_FLAGS ARITHMETIC, 0
        CHECK   eax, 12
        popcnt  ax, word [DATA + 2]
        CHECK   eax, 8
