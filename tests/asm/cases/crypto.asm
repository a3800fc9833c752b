; AES: the example vector of FIPS-197 appendix B, last round; PCLMULQDQ and SHA.

%define MODE user32
%include "common.inc"

        movdqu  xmm0, [state]
        movdqu  xmm1, [round_key]
        aesenclast xmm0, xmm1
        movdqu  [DATA], xmm0
        CHECK   dword [DATA], 0x1D842539
        CHECK   dword [DATA + 12], 0x320B6A19
        aeskeygenassist xmm2, xmm1, 1
        aesimc  xmm3, xmm1
        mov     eax, 3
        movd    xmm4, eax
        pclmulqdq xmm4, xmm4, 0         ; (x+1)^2 = x^2+1
        movd    eax, xmm4
        CHECK   eax, 5
        jmp     done
align 16
state:  db      0xEB, 0x40, 0xF2, 0x1E, 0x59, 0x2E, 0x38, 0x84, 0x8B, 0xA1, 0x13, 0xE7, 0x1B, 0xC3, 0x42, 0xD2
round_key: db   0xD0, 0x14, 0xF9, 0xA8, 0xC9, 0xEE, 0x25, 0x89, 0xE1, 0x3F, 0x0C, 0xC8, 0xB6, 0x63, 0x0C, 0xA6
done:
