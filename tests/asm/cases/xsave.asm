; XSAVE, XSAVEOPT, XSAVEC, XRSTOR, XGETBV: components by mask, initial states, the header.

%define MODE user32
%include "common.inc"

        mov     eax, 0x11
        vmovd   xmm3, eax
        vinserti128 ymm3, ymm3, xmm3, 1
        mov     eax, 7
        xor     edx, edx
        xsave   [DATA + 0x100]
        CHECK   dword [DATA + 0x100 + 576 + 48], 0x11
        vzeroall
        xrstor  [DATA + 0x100]
        vextracti128 [DATA], ymm3, 1
        CHECK   dword [DATA], 0x11
        mov     dword [DATA + 0x300], 3 ; XSTATE_BV: YMM is initial
        xrstor  [DATA + 0x100]
        vextracti128 [DATA], ymm3, 1
        CHECK   dword [DATA], 0
        vmovd   eax, xmm3
        CHECK   eax, 0x11
        mov     eax, 3
        xsaveopt [DATA + 0x100]
        mov     eax, 7
        xsavec  [DATA + 0x100]
        CHECK   dword [DATA + 0x304], 0x80000000 & 0
        xor     ecx, ecx
        xgetbv
        and     eax, 7
        CHECK   eax, 7
        mov     eax, 0
        mov     edx, 0
        mov     edi, DATA + 0x100
        mov     ecx, 0x400
        cld
        rep stosb
