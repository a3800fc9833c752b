; A task switch by far JMP, and back by IRETD through the link.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

TSS2 equ DATA + 0x200
        mov     dword [KERNEL + 0x18000 + 0x38], (TSS2 & 0xFFFF) << 16 | 0x67
        mov     dword [KERNEL + 0x18000 + 0x3C], (TSS2 & 0xFF000000) | 0x00008900 | (TSS2 >> 16 & 0xFF)
        mov     eax, cr3
        mov     [TSS2 + 0x1C], eax
        mov     dword [TSS2 + 0x20], task
        mov     dword [TSS2 + 0x24], 2
        mov     dword [TSS2 + 0x38], STACK + 0x500
        mov     dword [TSS2 + 0x48], 0x10
        mov     dword [TSS2 + 0x4C], 0x08
        mov     dword [TSS2 + 0x50], 0x10
        mov     dword [TSS2 + 0x54], 0x10
        mov     dword [TSS2 + 0x64], 0x00680000
        mov     ebx, 7
        call    0x38:0
        CHECK   ebx, 7                  ; this task's own
        CHECK   dword [DATA], 0x77
        mov     eax, cr0
        and     eax, 8
        CHECK   eax, 8                  ; TS
        clts
        str     ax
        and     eax, 0xFFFF
        CHECK   eax, 0x30
        jmp     done
task:   mov     dword [DATA], 0x77
        mov     ebx, 9
        pushfd
        pop     eax
        and     eax, NT
        CHECK   eax, NT
        movzx   eax, word [TSS2]
        CHECK   eax, 0x30               ; the link
        iretd
done:
