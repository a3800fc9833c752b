; An instruction across a page boundary, and one that is rewritten after it ran.

%define MODE user32
%include "common.inc"

        jmp     start
        times 0x0FFB - ($ - $$) db 0x90
start:
        mov     eax, 0x11223344         ; ends at 1000h
        mov     ecx, 0x55667788         ; begins there
        CHECK   eax, 0x11223344
        CHECK   ecx, 0x55667788
