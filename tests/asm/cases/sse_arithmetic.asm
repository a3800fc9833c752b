; SSE and SSE2: packed and scalar arithmetic, comparisons, conversions, shuffles.

%define MODE user32
%include "common.inc"

        movups  xmm0, [a]
        addps   xmm0, [b]
        movaps  [DATA], xmm0
        CHECK   dword [DATA], 0x40400000        ; 1 + 2
        CHECK   dword [DATA + 12], 0x40D80000   ; 6.5 + 0.25
        mulss   xmm0, xmm0
        movss   [DATA], xmm0
        CHECK   dword [DATA], 0x41100000
        movd    eax, xmm0
        CHECK   eax, 0x41100000
        cvtss2si eax, xmm0
        CHECK   eax, 9
        mov     eax, -3
        cvtsi2sd xmm1, eax
        sqrtsd  xmm2, [nine]
        addsd   xmm1, xmm2
        ucomisd xmm1, [zero]
        CHECK_FLAGS ARITHMETIC, ZF
        movapd  xmm3, [nine]
        cvttpd2dq xmm3, xmm3
        movd    eax, xmm3
        CHECK   eax, 9
        pshufd  xmm4, xmm0, 0x1B
        movd    eax, xmm4
        CHECK   eax, 0x40D80000
        cmpps   xmm4, xmm4, 0
        movmskps eax, xmm4
        CHECK   eax, 15
        stmxcsr [DATA + 32]
        CHECK   dword [DATA + 32], 0x1FA0       ; 2.5 was rounded
        divss   xmm0, [b + 4]
        stmxcsr [DATA + 32]
        CHECK   dword [DATA + 32], 0x1FA4       ; divided by zero
        jmp     done
align 16
a:      dd      1.0, 5.0, -1.5, 6.5
b:      dd      2.0, 0.0, 1.5, 0.25
nine:   dq      9.0, 2.5
zero:   dq      0.0
done:
