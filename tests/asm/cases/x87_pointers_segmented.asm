; The operand's pointer is its offset in the segment, in real mode too, whose environment holds it as it is.
; mode: real16

%define MODE real16
%include "common.inc"

        mov     ax, 0x2000
        mov     ds, ax
        xor     eax, eax
        mov     [0x10], eax
        fninit
        mov     word [0x20], 0x37B      ; ZE unmasked
        fldcw   [0x20]
        fld1
        mov     bx, 0x8
there:  fdiv    dword [bx + 8]
        fnstenv [0x40]
        cmp     word [0x46], there
        jne     wrong
        cmp     word [0x48], 0x077
        jne     wrong
        cmp     word [0x4A], 0x10
        jne     wrong
        cmp     word [0x4C], 0
        jne     wrong
        fninit
        jmp     good
wrong:  FAIL
good:   xor     ax, ax
        mov     ds, ax
