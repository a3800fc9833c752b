; #GP(0): MOV from CR0 at CPL 3.
; fault: 13 error=0

%define MODE user32
%include "common.inc"

        mov     eax, cr0
