; INT n, INT3, INTO, INT1, IRETD; exceptions and what they push.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    0x40, soft, 0x8E
        GATE    3, breakpoint, 0x8F
        GATE    4, overflow, 0x8F
        GATE    1, debug, 0x8E
        GATE    0, divide, 0x8E
        GATE    6, undefined, 0x8E
        xor     ebx, ebx
        int     0x40
        CHECK   ebx, 1
        int3
        CHECK   ebx, 2
        mov     al, 0x7F
        inc     al
        into
        CHECK   ebx, 3
        db      0xF1                    ; INT1
        CHECK   ebx, 4
        xor     ecx, ecx
faulting:
        div     ecx
        CHECK   ebx, 5
        ud2
        CHECK   ebx, 6
        jmp     done
soft:   inc     ebx
        pushfd                          ; an interrupt gate clears IF
        pop     eax
        and     eax, IF
        CHECK   eax, 0
        iretd
breakpoint:
        inc     ebx
        iret
overflow:
        inc     ebx
        iretd
debug:  inc     ebx
        iretd
divide: inc     ebx
        CHECK_STACK 0, faulting
        CHECK_STACK 4, 8
        add     dword [esp], 2          ; over DIV
        iretd
undefined:
        cmp     ebx, 5
        jne     really
        inc     ebx
        add     dword [esp], 2
        iretd
really: mov     edi, eax                ; a failed check: report by a triple fault
        lidt    [zero]
        int3
zero:   dd      0, 0
done:
