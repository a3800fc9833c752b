; AVX and AVX2: 128-bit forms clear the upper half, lanes, permutations, gathers, masked moves, FMA.

%define MODE user32
%include "common.inc"

        vmovups ymm0, [numbers]
        vaddps  xmm1, xmm0, xmm0        ; clears the upper half
        vextractf128 [DATA], ymm1, 1
        CHECK   dword [DATA], 0
        vperm2f128 ymm2, ymm0, ymm0, 1
        vmovd   eax, xmm2
        CHECK   eax, 5
        vpermq  ymm3, ymm0, 0x1B
        vmovd   eax, xmm3
        CHECK   eax, 7
        vpbroadcastd ymm4, [numbers + 8]
        vpaddd  ymm4, ymm4, ymm0
        vmovdqu [DATA], ymm4
        CHECK   dword [DATA + 28], 11
        vpcmpeqd ymm5, ymm5, ymm5
        vmovdqu ymm6, [indices]
        mov     ebx, numbers
        vpgatherdd ymm7, [ebx + ymm6 * 4], ymm5
        vmovdqu [DATA], ymm7
        CHECK   dword [DATA], 8
        CHECK   dword [DATA + 28], 1
        vpmovmskb eax, ymm5             ; the mask is spent
        CHECK   eax, 0
        vpxor   xmm5, xmm5, xmm5
        vpmaskmovd [READONLY], ymm5, ymm7       ; nothing selected: no fault
        mov     eax, 0x40000000
        vmovd   xmm1, eax
        vfmadd213ss xmm1, xmm1, xmm1    ; 2 * 2 + 2
        vcvttss2si eax, xmm1
        CHECK   eax, 6
        vcvtps2ph xmm1, xmm1, 0
        vmovd   eax, xmm1
        and     eax, 0xFFFF
        CHECK   eax, 0x4600
        vzeroupper
        vextractf128 [DATA], ymm7, 1
        CHECK   dword [DATA], 0
        vzeroall
        vptest  ymm0, ymm0
        CHECK_FLAGS ZF, ZF
        jmp     done
numbers: dd     1, 2, 3, 4, 5, 6, 7, 8
indices: dd     7, 6, 5, 4, 3, 2, 1, 0
done:
