; #DE: a division by zero changes nothing.
; set: eax=0x11111111 edx=0x22222222
; fault: 0

%define MODE user32
%include "common.inc"

        xor ecx, ecx
        div ecx
