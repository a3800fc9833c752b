; #DE: a division of the least number by -1 changes nothing.
; set: eax=0x11111111 edx=0x22222222
; fault: 0

%define MODE user32
%include "common.inc"

        mov eax, 0x80000000
        cdq
        mov ecx, -1
        idiv ecx
