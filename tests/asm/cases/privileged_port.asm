; #GP(0): IN at CPL 3 without permission.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        in      al, 0x80
