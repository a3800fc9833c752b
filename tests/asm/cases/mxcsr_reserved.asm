; #GP(0): LDMXCSR with a reserved bit.
; memory: 0x20000000 80 1F 01 00
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        ldmxcsr [DATA]
