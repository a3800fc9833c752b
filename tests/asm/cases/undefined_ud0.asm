; #UD by UD0.
; fault: 6

%define MODE user32
%include "common.inc"

        db      0x0F, 0xFF, 0xC0
