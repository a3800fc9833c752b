; #XM: an unmasked SIMD exception; nothing is written, MXCSR says which.
; set: mxcsr=0x1D80
; fault: 19
; expect: mxcsr=0x1D84

%define MODE user32
%include "common.inc"

        xorps   xmm1, xmm1
        movss   xmm0, [one]
        divss   xmm0, xmm1
one:    dd      1.0
