; #GP(0): HLT at CPL 3.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        hlt
