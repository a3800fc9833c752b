; A loop that rewrites itself each time round, and data beside code: nothing is lost, and it goes on.

%define MODE user32
%include "common.inc"

        mov     ecx, 400
        xor     edi, edi
        xor     edx, edx
loop:   mov     [changed + 1], ecx
changed:
        mov     eax, 0
        add     edi, eax
        inc     dword [beside]
        lock xadd [beside + 4], ecx
        mov     ecx, [changed + 1]
        call    patched
        add     edx, eax
        add     byte [patched + 1], 1
        dec     ecx
        jnz     loop
        CHECK   edi, 80200              ; 1 + ... + 400
        CHECK   dword [beside], 400
        CHECK   dword [beside + 4], 80200
        CHECK   edx, 42936              ; 0 + ... + 255 + 0 + ... + 143
        jmp     done
patched:
        mov     al, 0
        movzx   eax, al
        ret
beside: dd      0, 0
done:
