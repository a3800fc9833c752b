; Real-address mode: the vector table, INT, IRET, #DE, and LIDT moving the table.
; mode: real16

%define MODE real16
%include "common.inc"

        mov     word [0x40 * 4], handler
        mov     word [0x40 * 4 + 2], cs
        mov     word [0], divide
        mov     word [2], cs
        int     0x40
        cmp     bx, 0x55
        jne     bad
        xor     cx, cx
        div     cx
        cmp     bx, 0x66
        jne     bad
        sidt    [0x500]
        mov     word [0x510], 0x3FF
        mov     dword [0x512], 0x600
        mov     word [0x600 + 0x41 * 4], handler
        mov     word [0x602 + 0x41 * 4], cs
        lidt    [0x510]
        xor     bx, bx
        int     0x41
        cmp     bx, 0x55
        jne     bad
        mov     word [0x512], 0
        lidt    [0x510]
        jmp     done
handler:
        mov     bx, 0x55
        iret
divide: mov     bx, 0x66
        mov     bp, sp
        add     word [bp], 2
        iret
bad:    jmp     $
done:
