; #PF at CPL 0: error codes, CR2, WP, accessed and dirty bits, INVLPG.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

PTE_DATA equ KERNEL + 0x13000           ; of DATA's first page
        LOAD_IDT
        GATE    14, fault, 0x8E
        mov     ebp, 0x3                ; present, write
        mov     edi, READONLY + 4
        mov     esi, after1
        mov     [READONLY + 4], eax
after1: CHECK   ebx, 1
        mov     eax, cr0                ; without WP the supervisor may write
        and     eax, ~0x10000
        mov     cr0, eax
        mov     [READONLY + 4], eax
        or      eax, 0x10000
        mov     cr0, eax
        mov     ebp, 0x0
        mov     edi, 0x10000000
        mov     esi, after2
        mov     eax, [0x10000000]
after2: CHECK   ebx, 2
        mov     ebp, 0x11               ; fetch from a page that isn't executable
        mov     edi, DATA + 0x100
        mov     esi, after3
        jmp     edi
after3: CHECK   ebx, 3
        and     dword [PTE_DATA], ~0x60
        invlpg  [DATA]
        mov     eax, [DATA]
        mov     eax, [PTE_DATA]
        and     eax, 0x60
        CHECK   eax, 0x20               ; accessed
        mov     [DATA], eax
        mov     eax, [PTE_DATA]
        and     eax, 0x60
        CHECK   eax, 0x60               ; dirty
        and     dword [PTE_DATA], ~1
        invlpg  [DATA]
        mov     ebp, 0
        mov     edi, DATA
        mov     esi, after4
        mov     eax, [DATA]
after4: CHECK   ebx, 4
        mov     dword [PTE_DATA + 4], 0x10      ; bit 36: reserved
        or      dword [PTE_DATA], 1
        mov     ebp, 9
        mov     esi, after5
        mov     eax, [DATA]
after5: CHECK   ebx, 5
        mov     dword [PTE_DATA + 4], 0x80000000
        jmp     done
fault:  inc     ebx
        pop     eax
        CHECK   eax, ebp
        mov     eax, cr2
        CHECK   eax, edi
        mov     [esp], esi
        iretd
done:
