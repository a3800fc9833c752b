; #UD by UD1.
; fault: 6

%define MODE user32
%include "common.inc"

        ud1     eax, ecx
