; From protected mode with paging to real mode and back.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        mov     dword [KERNEL + 0x11000], 0x83          ; linear 0-2 MiB = physical
        mov     eax, cr3
        mov     cr3, eax
        mov     esi, low
        mov     edi, 0x8000
        mov     ecx, low_end - low
        cld
        rep movsb
        mov     dword [KERNEL + 0x18000 + 0x18], 0x0000FFFF     ; 16-bit code, base 0
        mov     dword [KERNEL + 0x18000 + 0x1C], 0x00009A00
        mov     dword [KERNEL + 0x18000 + 0x38], 0x0000FFFF     ; 16-bit data, base 0
        mov     dword [KERNEL + 0x18000 + 0x3C], 0x00009200
        mov     esp, 0x7000
        jmp     0x18:0x8000
bits 16
low:    mov     ax, 0x38
        mov     ds, ax
        mov     ss, ax
        mov     eax, cr0
        mov     ebp, eax
        and     eax, 0x7FFFFFFE
        mov     cr0, eax
        jmp     0:0x8000 + real - low
real:   mov     ax, 0x900
        mov     ds, ax
        mov     ss, ax
        mov     word [0x20], 0x4321     ; 9020h
        mov     eax, ebp
        mov     cr0, eax
        jmp     dword 0x08:back
low_end:
bits 32
back:   mov     ax, 0x10
        mov     ds, ax
        mov     ss, ax
        mov     es, ax
        mov     esp, STACK + 0x1000
        movzx   eax, word [KERNEL + 0x9020]
        CHECK   eax, 0x4321
