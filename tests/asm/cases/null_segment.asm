; #GP(0): an access through a null segment register.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        mov     eax, [gs:DATA]
