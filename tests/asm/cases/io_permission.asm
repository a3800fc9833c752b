; The TSS's I/O bitmap: ports allowed and forbidden at CPL 3.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        mov     dword [KERNEL + 0x19064], 0x00680000    ; bitmap at 68h
        mov     dword [KERNEL + 0x19068], 0
        mov     dword [KERNEL + 0x1906C], 0xFFFFFF00    ; ports 20h-27h allowed, 28h on not
        mov     dword [KERNEL + 0x19070], 0xFFFFFFFF
        mov     word [KERNEL + 0x18000 + 0x30], 0x70    ; the TSS's limit
        and     byte [KERNEL + 0x18000 + 0x35], ~2
        mov     ax, 0x30
        ltr     ax
        LOAD_IDT
        GATE    13, protection, 0x8E
        push    dword 0x2B
        push    dword STACK + 0x700
        push    dword 0x202
        push    dword 0x23
        push    dword user
        iretd
user:   mov     al, 0x5A
        out     0x27, al
        in      al, 0x20
        mov     ebx, 1
        in      ax, 0x27                ; the second port isn't allowed
        FAIL
protection:
        CHECK   ebx, 1
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     esp, STACK + 0x1000
