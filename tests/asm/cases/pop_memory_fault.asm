; POP to a page that can't be written: ESP stays.
; set: esp=0x30800800
; fault: 14 error=7 cr2=0x20002000
; expect: esp=0x30800800

%define MODE user32
%include "common.inc"

        pop     dword [READONLY]
