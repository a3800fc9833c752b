; PUSH below the stack area: ESP stays.
; set: esp=0x30800000
; fault: 14 error=6 cr2=0x307FFFFC
; expect: esp=0x30800000

%define MODE user32
%include "common.inc"

        push    eax
