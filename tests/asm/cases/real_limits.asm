; Real-address mode: an operand across offset FFFFh is #GP (or #SS), not a wrap.
; mode: real16

%define MODE real16
%include "common.inc"

        mov     word [13 * 4], protection
        mov     word [13 * 4 + 2], cs
        mov     word [12 * 4], stack
        mov     word [12 * 4 + 2], cs
        mov     si, after1
        mov     ax, [0xFFFF]
        jmp     bad
after1: cmp     bx, 1
        jne     bad
        mov     si, after2
        mov     ebp, 0x12345
        mov     ax, [ebp]               ; beyond the limit through SS
        jmp     bad
after2: cmp     bx, 3
        jne     bad
        jmp     done
protection:
        add     bx, 1
        mov     bp, sp
        mov     [bp], si
        iret
stack:  add     bx, 2
        mov     bp, sp
        mov     [bp], si
        iret
bad:    jmp     $
done:
