; Virtual-8086 mode: segments as paragraphs, IOPL-sensitive instructions, INT through the IDT.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        ; Linear 0-1 MiB: the kernel window's pages again, for the user.
        mov     dword [KERNEL + 0x11000], 0x87
        mov     eax, cr3
        mov     cr3, eax
        mov     dword [KERNEL + 0x7C00], 0x1234B8       ; mov ax, 1234h; ...
        mov     esi, code16
        mov     edi, KERNEL + 0x7C00
        mov     ecx, code16_end - code16
        cld
        rep movsb
        LOAD_IDT
        GATE    13, protection, 0x8E
        push    dword 0                 ; GS
        push    dword 0                 ; FS
        push    dword 0x2000            ; DS
        push    dword 0                 ; ES
        push    dword 0                 ; SS
        push    dword 0x7000            ; ESP
        push    dword 0x20202           ; VM, IF; IOPL 0
        push    dword 0x07C0            ; CS
        push    dword 0                 ; EIP
        iretd
bits 16
code16: mov     ax, 0x1234
        mov     [0x10], ax              ; 2000h:10h
        push    cs
        pop     bx
        cli                             ; #GP(0): IOPL is below 3
code16_end:
bits 32
protection:
        CHECK   ebx, 0x07C0
        CHECK_STACK 0, 0
        CHECK_STACK 8, 0x07C0
        mov     ecx, [esp + 12]
        and     ecx, 0x20000
        CHECK   ecx, 0x20000
        CHECK_STACK 28, 0x2000        ; DS, pushed and cleared
        mov     ax, ds
        test    ax, ax
        jz      cleared
        FAIL
cleared:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        movzx   eax, word [KERNEL + 0x20010]
        CHECK   eax, 0x1234
        mov     esp, STACK + 0x1000
