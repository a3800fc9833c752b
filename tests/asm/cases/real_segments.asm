; Real-address mode: paragraphs, wrap-around, segment overrides, LDS, far calls.
; mode: real16

%define MODE real16
%include "common.inc"

        mov     ax, 0x1000
        mov     ds, ax
        mov     es, ax
        mov     word [0x10], 0xABCD
        mov     ax, 0x1001
        mov     ds, ax
        mov     ax, [0]
        cmp     ax, 0xABCD
        jne     bad
        mov     word [es:0x20], 0x1234
        mov     word [es:0x22], 0x2000
        mov     ax, 0x1000
        mov     ds, ax
        lds     si, [0x20]
        cmp     si, 0x1234
        jne     bad
        mov     ax, ds
        cmp     ax, 0x2000
        jne     bad
        call    0:far_function
        cmp     bx, 7
        jne     bad
        mov     bp, sp
        mov     eax, 0x11223344
        push    eax
        pop     dx
        pop     cx
        cmp     cx, 0x1122
        jne     bad
        xor     ax, ax
        mov     ds, ax
        jmp     done
far_function:
        mov     bx, 7
        retf
bad:    ud2
done:
