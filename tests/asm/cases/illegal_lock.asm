; #UD: LOCK on an instruction that has no locked form.
; fault: 6

%define MODE user32
%include "common.inc"

        db      0xF0
        mov     [DATA], eax
