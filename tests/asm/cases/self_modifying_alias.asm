; Two linear addresses of one page of code: what is written at one is executed at the other.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

ALIAS equ DATA + 0x8000
CODE  equ 0x42000000
PTE_ALIAS equ KERNEL + 0x13000 + 8 * 8
        mov     dword [PTE_ALIAS + 4], 0
        mov     dword [PTE_ALIAS], 0x220003     ; the code's first page
        mov     ecx, 20
        xor     edi, edi
again:
changed:
        mov     eax, 0
        add     edi, eax
        mov     [ALIAS + changed + 1 - CODE], ecx
        dec     ecx
        jnz     again
        CHECK   edi, 209                ; 20 to 2
        mov     ecx, 20
        xor     edi, edi
        mov     edx, ALIAS + function - CODE
more:   mov     [function + 1], ecx
        call    edx
        add     edi, eax
        dec     ecx
        jnz     more
        CHECK   edi, 210
        jmp     done
function:
        mov     eax, 0
        ret
done:   mov     dword [PTE_ALIAS], 0
        invlpg  [ALIAS]
