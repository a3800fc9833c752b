; An instruction across a page boundary, of which the part on either page changes.

%define MODE user32
%include "common.inc"

        mov     ecx, 30
        xor     edi, edi
        jmp     crossing
        times 0x0FFD - ($ - $$) db 0x90
crossing:
        mov     eax, 0                  ; two bytes of the number on the second page
        add     edi, eax
        test    cl, 1
        jnz     first
        mov     [crossing + 3], cx
        jmp     next
first:  mov     [crossing + 1], cx
next:   dec     ecx
        jnz     crossing
        CHECK   eax, 0x00020003
        CHECK   edi, 0x01DE01C0         ; 30 28 28 26 ..., and 0 29 29 27 27 ...
