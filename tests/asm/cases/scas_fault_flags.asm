; REPNE SCAS that faults gives the flags back that it found.
; set: edi=0x20002FF0 ecx=0x1000 eax=0xFF eflags=0xAD7
; fault: 14 error=4 cr2=0x20003000
; flags: cf=1 pf=1 af=1 zf=1 sf=1 of=1

%define MODE user32
%include "common.inc"

        repne scasb
