; String stores into the instructions that come next, in the same block, forwards and backwards.

%define MODE user32
%include "common.inc"

        mov     edx, 12
        xor     ebx, ebx
        mov     ebp, 0x434B             ; INC EBX, DEC EBX
again:  mov     edi, next
        mov     ecx, 3
        mov     eax, ebp
        rep stosb
next:   nop
        nop
        nop
        std
        mov     edi, after + 1
        mov     ecx, 2
        mov     al, ah
        rep stosb
        cld
        jmp     $ + 2
after:  nop
        nop
        xchg    al, ah
        rol     bp, 8
        dec     edx
        jnz     again
        CHECK   ebx, 0
