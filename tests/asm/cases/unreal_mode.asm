; A flat segment loaded in protected mode keeps its limit in real-address mode.
; mode: real16

%define MODE real16
%include "common.inc"

        cli
        lgdt    [pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     short $ + 2
        mov     bx, 8
        mov     fs, bx
        and     al, 0xFE
        mov     cr0, eax
        mov     ebx, 0x200000
        mov     dword [fs:ebx], 0x12345678
        mov     eax, [fs:ebx]
        cmp     eax, 0x12345678
        je      done
        jmp     $
align 8
table:  dq      0, 0x00CF92000000FFFF
pointer: dw     15
        dd      table
done:
