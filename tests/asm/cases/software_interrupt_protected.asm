; #GP: INT n through a gate of a higher privilege names the gate.
; fault: 13 error=0x10A

%define MODE user32
%include "common.inc"

        int     0x21
