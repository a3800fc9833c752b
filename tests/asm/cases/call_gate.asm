; Far JMP, CALL, RETF; a call gate to CPL 0 that copies parameters, and RETF n back.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        jmp     0x08:here
here:   call    0x08:far_function
        CHECK   ebx, 5
        mov     dword [DATA], far_function2
        mov     word [DATA + 4], 8
        call    far [DATA]
        CHECK   ebx, 6
        ; A gate with two parameters, reachable from CPL 3, in descriptor 18h.
        mov     eax, gate_function
        mov     [KERNEL + 0x18000 + 0x18], ax
        mov     word [KERNEL + 0x18000 + 0x1A], 8
        mov     word [KERNEL + 0x18000 + 0x1C], 0xEC02
        shr     eax, 16
        mov     [KERNEL + 0x18000 + 0x1E], ax
        LOAD_IDT
        GATE    0x80, leave_user, 0xEE
        push    dword 0x2B
        push    dword STACK + 0x700
        push    dword 0x202
        push    dword 0x23
        push    dword user
        iretd
user:   mov     ax, 0x2B
        mov     ds, ax
        push    dword 0x1111
        push    dword 0x2222
        call    0x18:0
        CHECK   esp, STACK + 0x700
        CHECK   ebx, 0x3333
        int     0x80
        FAIL
gate_function:
        mov     ebx, [esp + 8]
        add     ebx, [esp + 12]
        CHECK_STACK 20, 0x2B
        retf    8
far_function:
        mov     ebx, 5
        retf
far_function2:
        mov     ebx, 6
        retf
leave_user:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     esp, STACK + 0x1000
