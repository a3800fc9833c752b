; SMEP and SMAP, STAC and CLAC.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        LOAD_IDT
        GATE    14, fault, 0x8E
        ; The kernel's own accesses go to its own pages: stack and IDT move there.
        mov     esi, IDT_BASE
        mov     edi, KERNEL + 0x40000
        mov     ecx, 0x200
        cld
        rep movsd
        mov     word [KERNEL + 0x41000], 0x7FF
        mov     dword [KERNEL + 0x41002], KERNEL + 0x40000
        lidt    [KERNEL + 0x41000]
        mov     esp, KERNEL + 0x43000
        xor     ebx, ebx
        mov     eax, cr4
        or      eax, 1 << 21            ; SMAP
        mov     cr4, eax
        mov     ebp, 1
        mov     edi, DATA
        mov     esi, after1
        mov     eax, [DATA]
after1: cmp     ebx, 1
        jne     bad
        stac
        mov     eax, [DATA]
        clac
        mov     ebp, 3
        mov     esi, after2
        mov     [DATA], eax
after2: cmp     ebx, 2
        jne     bad
        mov     eax, cr4
        and     eax, ~(1 << 21)
        mov     cr4, eax
        ; SMEP: the code itself lies in a user page, so only a copy in a kernel page may go on.
        mov     ecx, copied_end - copied
        mov     esi, copied
        mov     edi, KERNEL + 0x44000
        rep movsb
        mov     eax, KERNEL + 0x44000 + fault2 - copied
        mov     [KERNEL + 0x40000 + 14 * 8], ax
        shr     eax, 16
        mov     [KERNEL + 0x40000 + 14 * 8 + 6], ax
        mov     eax, KERNEL + 0x44000
        jmp     eax
bad:    FAIL
fault:  inc     ebx
        pop     eax
        cmp     eax, ebp
        jne     bad
        mov     eax, cr2
        cmp     eax, edi
        jne     bad
        mov     [esp], esi
        iretd
copied: mov     eax, cr4
        or      eax, 1 << 20            ; SMEP
        mov     cr4, eax
        mov     ecx, done
        jmp     ecx                     ; faults
fault2: pop     edx
        mov     eax, cr4
        and     eax, ~(1 << 20)
        mov     cr4, eax
        iretd                           ; and now goes there
copied_end:
done:   CHECK   edx, 0x11
