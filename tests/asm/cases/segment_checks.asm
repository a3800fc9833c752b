; LAR, LSL, VERR, VERW, ARPL.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

        mov     eax, 0x08
        lar     ecx, eax
        CHECK_FLAGS ZF, ZF
        CHECK   ecx, 0x00CF9B00
        lsl     ecx, eax
        CHECK   ecx, 0xFFFFFFFF
        verr    ax
        CHECK_FLAGS ZF, ZF
        verw    ax
        CHECK_FLAGS ZF, 0               ; code
        mov     eax, 0x10
        verw    ax
        CHECK_FLAGS ZF, ZF
        mov     eax, 0xFFF8             ; outside the GDT
        lar     ecx, eax
        CHECK_FLAGS ZF, 0
        lsl     ecx, eax
        CHECK_FLAGS ZF, 0
        verr    ax
        CHECK_FLAGS ZF, 0
        mov     eax, 0x10
        mov     ebx, 0x03
        arpl    ax, bx
        CHECK_FLAGS ZF, ZF
        CHECK   eax, 0x13
        arpl    ax, bx
        CHECK_FLAGS ZF, 0
