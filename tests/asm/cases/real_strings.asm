; 16-bit string instructions: SI and DI wrap, the stack wraps, a 32-bit address size reaches on.
; mode: real16

%define MODE real16
%include "common.inc"

        cld
        mov     ax, 0x2000
        mov     es, ax
        mov     di, 0xFFFE
        mov     ax, 0x1122
        stosw
        stosw                           ; at 0
        cmp     di, 2
        jne     bad
        cmp     word [es:0], 0x1122
        jne     bad
        mov     ecx, 0x10003            ; CX counts
        mov     di, 0x100
        rep stosb
        cmp     di, 0x103
        jne     bad
        cmp     ecx, 0x10000
        jne     bad
        mov     sp, 0
        push    ax                      ; at FFFEh
        cmp     sp, 0xFFFE
        jne     bad
        pop     ax
        mov     sp, 0x7C00
        mov     esi, 0x7C00
        a32 lodsd
        cmp     esi, 0x7C04
        jne     bad
        jmp     done
bad:    jmp     $
done:
