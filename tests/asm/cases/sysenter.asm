; SYSENTER and SYSEXIT.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        mov     ecx, 0x174
        mov     eax, 0x08
        xor     edx, edx
        wrmsr
        inc     ecx
        mov     eax, STACK + 0x800
        wrmsr
        inc     ecx
        mov     eax, entry
        wrmsr
        rdmsr
        CHECK   eax, entry
        ; SYSEXIT goes to CS+16 and SS+24: the user's selectors must follow.
        mov     eax, [KERNEL + 0x18000 + 0x20]
        mov     [KERNEL + 0x18000 + 0x18], eax
        mov     eax, [KERNEL + 0x18000 + 0x24]
        mov     [KERNEL + 0x18000 + 0x1C], eax
        mov     eax, [KERNEL + 0x18000 + 0x28]
        mov     [KERNEL + 0x18000 + 0x20], eax
        mov     eax, [KERNEL + 0x18000 + 0x2C]
        mov     [KERNEL + 0x18000 + 0x24], eax
        mov     edx, user
        mov     ecx, STACK + 0x700
        sysexit
user:   mov     ax, cs
        and     eax, 0xFFFF
        CHECK   eax, 0x1B
        CHECK   esp, STACK + 0x700
        sysenter
        FAIL
entry:  mov     ax, cs
        and     eax, 0xFFFF
        CHECK   eax, 0x08
        CHECK   esp, STACK + 0x800
