; #GP(0): FXSAVE on an address that isn't a multiple of 16.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        fxsave  [DATA + 8]
