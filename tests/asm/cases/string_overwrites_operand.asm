; A fill that faults has overwritten what an instruction before it has read.
; set: eax=0xFFFFFFFF
; memory: 0x20001FF8 44 33 22 11
; fault: 14 error=7 cr2=0x20002000
; expect: ebx=0x11223345 edx=0x11223344 edi=0x20002000 ecx=0xFF0

%define MODE user32
%include "common.inc"

        mov     edx, [DATA + 0x1FF8]
        lea     ebx, [edx + 1]
        mov     edi, DATA + 0x1FF0
        mov     ecx, 0x1000
        rep     stosb
