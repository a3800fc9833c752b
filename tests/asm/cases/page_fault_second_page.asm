; #PF of an operand that reaches into a second page names that page.
; set: eax=1
; fault: 14 error=7 cr2=0x20002000
; expect: eax=1
; expect-memory: 0x20001FFC 00 00 00 00

%define MODE user32
%include "common.inc"

        add     [READONLY - 2], eax
