; LGDT, LIDT, SGDT, SIDT, LLDT, SLDT, LTR, STR, SMSW, LMSW, CLTS, MOV to and from CRn and DRn.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

%include "kernel.inc"

        sgdt    [DATA]
        mov     eax, [DATA + 2]
        CHECK   eax, KERNEL + 0x18000
        lgdt    [DATA]
        LOAD_IDT
        sidt    [DATA + 8]
        mov     eax, [DATA + 10]
        CHECK   eax, IDT_BASE
        str     eax
        CHECK   eax, 0x30
        and     byte [KERNEL + 0x18000 + 0x35], ~2      ; not busy
        mov     ax, 0x30
        ltr     ax
        mov     al, [KERNEL + 0x18000 + 0x35]
        and     eax, 2
        CHECK   eax, 2                  ; busy again
        mov     dword [KERNEL + 0x18000 + 0x38], 0x00000007
        mov     dword [KERNEL + 0x18000 + 0x3C], 0x00008200
        mov     ax, 0x38
        lldt    ax
        sldt    ebx
        CHECK   ebx, 0x38
        xor     eax, eax
        lldt    ax
        mov     eax, cr0
        or      eax, 8
        mov     cr0, eax
        clts
        smsw    ecx
        and     ecx, 8
        CHECK   ecx, 0
        smsw    ax
        or      al, 8
        lmsw    ax
        mov     ebx, cr0
        and     ebx, 8
        CHECK   ebx, 8
        clts
        mov     eax, 0x12345678
        mov     cr2, eax
        mov     ebx, cr2
        CHECK   ebx, 0x12345678
        mov     dr0, eax
        mov     ebx, dr0
        CHECK   ebx, 0x12345678
        mov     eax, cr3
        mov     cr3, eax
        invlpg  [DATA]
        invd
        wbinvd
        mov     eax, cr4
        or      eax, 0x80               ; PGE
        mov     cr4, eax
