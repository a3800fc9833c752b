; #BR: BOUND with an index out of range.
; memory: 0x20000000 FF FF FF FF 05 00 00 00
; set: eax=6
; fault: 5

%define MODE user32
%include "common.inc"

        bound   eax, [DATA]
