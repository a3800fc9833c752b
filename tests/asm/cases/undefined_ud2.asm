; #UD by UD2.
; fault: 6
; expect: eip=0x42000001

%define MODE user32
%include "common.inc"

        nop
        ud2
