; #GP(0): MOVAPS on an address that isn't a multiple of 16.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        movaps  xmm0, [DATA + 8]
