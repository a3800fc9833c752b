; MXCSR's rounding control, flush-to-zero and denormals-are-zero.

%define MODE user32
%include "common.inc"

        mov     dword [DATA], 0x7F80    ; towards zero
        ldmxcsr [DATA]
        mov     dword [DATA + 4], 0x40200000
        cvtss2si eax, [DATA + 4]        ; 2.5
        CHECK   eax, 2
        mov     dword [DATA], 0x5F80    ; up
        ldmxcsr [DATA]
        cvtss2si eax, [DATA + 4]
        CHECK   eax, 3
        mov     dword [DATA], 0x9F80    ; flush to zero
        ldmxcsr [DATA]
        mov     dword [DATA + 8], 0x00800000
        mov     dword [DATA + 12], 0x3F000000
        movss   xmm0, [DATA + 8]
        mulss   xmm0, [DATA + 12]
        movd    eax, xmm0
        CHECK   eax, 0
        mov     dword [DATA], 0x1FC0    ; denormals are zero
        ldmxcsr [DATA]
        mov     dword [DATA + 8], 0x00400000
        movss   xmm0, [DATA + 8]
        addss   xmm0, xmm0
        movd    eax, xmm0
        CHECK   eax, 0
        stmxcsr [DATA]
        CHECK   dword [DATA], 0x1FC0
