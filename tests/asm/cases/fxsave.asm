; FXSAVE, FXRSTOR: x87 and SSE state through 512 bytes.

%define MODE user32
%include "common.inc"

        finit
        fldpi
        mov     eax, 0x12345678
        movd    xmm5, eax
        fxsave  [DATA + 0x100]
        CHECK   dword [DATA + 0x100 + 160 + 5 * 16], 0x12345678
        movzx   eax, byte [DATA + 0x104]
        CHECK   eax, 0x80               ; ST0 is physical register 7
        pxor    xmm5, xmm5
        finit
        fxrstor [DATA + 0x100]
        movd    eax, xmm5
        CHECK   eax, 0x12345678
        fstp    tword [DATA]
        CHECK   dword [DATA + 4], 0xC90FDAA2
        mov     edi, DATA + 0x100       ; reserved fields and pointers: processors differ
        xor     eax, eax
        mov     ecx, 128
        rep stosd
