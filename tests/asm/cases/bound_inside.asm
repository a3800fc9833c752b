; BOUND with an index in range.
; memory: 0x20000000 FF FF FF FF 05 00 00 00

%define MODE user32
%include "common.inc"

        mov     eax, 5
        bound   eax, [DATA]
        mov     eax, -1
        bound   eax, [DATA]
