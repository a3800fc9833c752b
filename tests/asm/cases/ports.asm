; IN, OUT, INS, OUTS in all sizes, with immediate and DX.
; mode: kernel32

%define MODE kernel32
%include "common.inc"

        mov     eax, 0x11223344
        out     0x70, eax
        in      al, 0x70
        CHECK   eax, 0x11223344
        xor     eax, eax
        in      ax, 0x71
        CHECK   eax, 0x2233
        mov     dx, 0x1234
        mov     eax, 0xAABBCCDD
        out     dx, ax
        xor     eax, eax
        in      eax, dx
        CHECK   eax, 0xCCDD
        out     0x80, al
        mov     dword [DATA], 0x55667788
        mov     esi, DATA
        outsd
        CHECK   esi, DATA + 4
        mov     edi, DATA + 16
        mov     ecx, 3
        cld
        rep insd
        CHECK   dword [DATA + 24], 0x55667788
        CHECK   edi, DATA + 28
        mov     esi, DATA
        mov     ecx, 2
        rep outsw
        insw
        insb
        outsb
        CHECK   dword [DATA + 28], 0x00665566
