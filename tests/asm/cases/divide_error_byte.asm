; #DE: a division at byte width changes nothing.
; set: eax=0x11111111 edx=0x22222222
; fault: 0

%define MODE user32
%include "common.inc"

        mov ax, 0x8000
        mov cl, 0x80
        idiv cl
