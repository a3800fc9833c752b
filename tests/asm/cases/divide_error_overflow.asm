; #DE: a division whose quotient has 33 bits changes nothing.
; set: eax=0x11111111 edx=0x22222222
; fault: 0

%define MODE user32
%include "common.inc"

        mov     edx, 3
        mov ecx, 3
        div ecx
