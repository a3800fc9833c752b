; A repeated string instruction that faults has done the iterations before.
; set: edi=0x20001FF8 ecx=16 eax=0x41424344
; fault: 14 error=7 cr2=0x20002000
; expect: ecx=14 edi=0x20002000
; expect-memory: 0x20001FF8 44 43 42 41 44 43 42 41

%define MODE user32
%include "common.inc"

        cld
        rep stosd
