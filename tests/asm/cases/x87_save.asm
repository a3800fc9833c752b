; FNSAVE, FRSTOR: all registers, tags and control words come back.

%define MODE user32
%include "common.inc"

        finit
        fld1
        fldpi
        fldl2e
        fnsave  [DATA]
        fnstsw  ax
        and     eax, 0xFFFF
        CHECK   eax, 0
        CHECK   dword [DATA + 8], 0xFFFF03FF    ; three registers valid
        frstor  [DATA]
        fstp    tword [DATA + 0x100]
        fstp    tword [DATA + 0x110]
        fistp   dword [DATA + 0x120]
        CHECK   dword [DATA + 0x120], 1
        CHECK   dword [DATA + 0x114], 0xC90FDAA2
        CHECK   dword [DATA + 0x104], 0xB8AA3B29
        mov     edi, DATA + 12          ; pointers to the last instruction: processors differ
        mov     ecx, 4
        xor     eax, eax
        cld
        rep stosd
