; #PF: reading where nothing is.
; fault: 14 error=4 cr2=0x1FFFFFFE

%define MODE user32
%include "common.inc"

        mov     eax, [DATA - 2]
