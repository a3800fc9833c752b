; #GP(0): writing through CS.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        mov     [cs:DATA], eax
