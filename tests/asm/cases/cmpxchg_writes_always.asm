; CMPXCHG writes even when it doesn't match: to a read-only page that is a fault.
; fault: 14 error=7 cr2=0x20002010

%define MODE user32
%include "common.inc"

        mov     eax, 0x12345
        cmpxchg [READONLY + 0x10], ecx
