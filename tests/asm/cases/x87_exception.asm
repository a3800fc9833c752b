; #MF: an unmasked x87 exception is reported by the next waiting instruction.
; fault: 16
; expect: eax=1

%define MODE user32
%include "common.inc"

        finit
        mov     word [DATA], 0x37B      ; ZE unmasked
        fldcw   [DATA]
        fld1
        fldz
        fdivp   st1, st0
        fnstsw  [DATA + 4]              ; doesn't wait
        mov     eax, 1
        fwait
        mov     eax, 2
