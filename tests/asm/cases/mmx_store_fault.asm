; An MMX store that faults leaves its register and the x87 state as the processor does.
; fault: 14 error=7 cr2=0x20002000

%define MODE user32
%include "common.inc"

        fninit
        fldpi
        fld1
        fldl2e
        movaps  xmm0, xmm1
        movq    [READONLY], mm6
