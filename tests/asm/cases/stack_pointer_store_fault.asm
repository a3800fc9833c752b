; A fault of an instruction that stores ESP itself, behind pushes: ESP is what they left.
; set: esp=0x30800800
; fault: 14 error=7 cr2=0x20002000
; expect: esp=0x308007F4

%define MODE user32
%include "common.inc"

        push    eax
        push    ecx
        push    dword 5
        mov     [READONLY], esp
