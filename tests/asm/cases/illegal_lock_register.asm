; #UD: LOCK without a memory operand.
; fault: 6

%define MODE user32
%include "common.inc"

        db      0xF0
        add     eax, ecx
