; ESP counted past 4 GiB without an access on the way is where it should be: the host address that stands for it must
; not have been carried into the next window.

%define MODE user32
%include "common.inc"

        mov     edx, esp
        mov     dword [DATA + 0xFF8], 0x12345678
        mov     ecx, 0x10002
        mov     esp, DATA + 0x1000 - 0x20004000
again:  add     esp, 0x2000
        dec     ecx
        jnz     again
        mov     eax, esp
        xor     eax, DATA + 0x1000
        CHECK   eax, 0
        mov     ebx, [esp - 8]
        mov     esp, edx
        CHECK   ebx, 0x12345678
