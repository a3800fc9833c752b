; MOV, POP, LDS, LES, LFS, LGS, LSS: bases and limits count.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        mov     dword [KERNEL + 0x18000 + 0x18], 0x00000FFF     ; base DATA, limit FFFh, writable
        mov     dword [KERNEL + 0x18000 + 0x1C], 0x20409200
        mov     eax, 0x18
        mov     es, ax
        mov     dword [DATA + 0x10], 0x11223344
        CHECK   dword [es:0x10], 0x11223344
        mov     byte [DATA + 0xFFF], 0x55
        mov     al, [es:0xFFF]
        push    eax
        pop     eax
        push    dword 0x18
        pop     fs
        CHECK   dword [fs:0x10], 0x11223344
        mov     dword [DATA + 0x20], 0x10
        mov     word [DATA + 0x24], 0x18
        lgs     ebx, [DATA + 0x20]
        CHECK   ebx, 0x10
        CHECK   dword [gs:ebx], 0x11223344
        lfs     ecx, [DATA + 0x20]
        les     edx, [DATA + 0x20]
        CHECK   edx, 0x10
        mov     ax, gs
        cmp     ax, 0x18
        je      loaded
        FAIL
loaded: mov     word [DATA + 0x24], 0x10
        lds     esi, [DATA + 0x20]
        mov     dword [DATA + 0x20], STACK + 0x800
        lss     esp, [DATA + 0x20]
        CHECK   esp, STACK + 0x800
        LOAD_IDT
        GATE    13, limit, 0x8E
        mov     eax, 1
        mov     ebx, [es:0xFFD]         ; the fourth byte is beyond
        FAIL
limit:  CHECK_STACK 0, 0
        CHECK   eax, 1
