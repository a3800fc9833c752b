; #GP(0): CLI at CPL 3 with IOPL 0.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        cli
