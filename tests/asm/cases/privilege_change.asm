; IRETD to CPL 3, a fault there, back through an interrupt gate with the stack of the TSS.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    13, protection, 0x8E
        GATE    0x80, system_call, 0xEE
        push    dword 0x2B
        push    dword STACK + 0x700
        push    dword 0x202
        push    dword 0x23
        push    dword user
        iretd
user:   mov     ax, 0x2B
        mov     ds, ax
        mov     es, ax
        mov     esi, 1
        mov     ax, cs
        and     eax, 3
        CHECK   eax, 3
        cli                             ; #GP(0)
resumed:
        mov     esi, 3
        mov     eax, 0x1234
        int     0x80
        FAIL
protection:
        CHECK   esi, 1
        CHECK_STACK 0, 0          ; error code
        CHECK_STACK 8, 0x23
        CHECK_STACK 16, STACK + 0x700
        CHECK_STACK 20, 0x2B
        CHECK   esp, KERNEL + 0x1F000 - 24
        mov     dword [esp + 4], resumed
        mov     esi, 2
        add     esp, 4
        iretd
system_call:
        CHECK   eax, 0x1234
        CHECK   esi, 3
        mov     ax, cs
        and     eax, 0xFFFF
        CHECK   eax, 8
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     esp, STACK + 0x1000
