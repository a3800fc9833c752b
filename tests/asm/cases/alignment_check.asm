; #AC at CPL 3 with EFLAGS.AC.
; set: eflags=0x40202
; fault: 17 error=0

%define MODE user32
%include "common.inc"

        mov     eax, [DATA + 4]
        mov     ax, [DATA + 2]
        mov     al, [DATA + 1]
        movups  xmm0, [DATA + 1]        ; vectors aren't subject to it
        mov     eax, [DATA + 2]
