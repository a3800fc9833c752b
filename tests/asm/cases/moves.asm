; MOV, MOVZX, MOVSX, XCHG, BSWAP, MOVBE, LEA, XLAT, CBW and kin, LAHF, SAHF, SALC.

%define MODE user32
%include "common.inc"

        mov     eax, 0x11223344
        mov     [DATA], eax
        movzx   ebx, byte [DATA + 3]
        CHECK   ebx, 0x11
        mov     byte [DATA + 4], 0x80
        movsx   ebx, byte [DATA + 4]
        CHECK   ebx, 0xFFFFFF80
        movsx   bx, byte [DATA]
        CHECK   ebx, 0xFFFF0044
        movzx   ebx, ax
        CHECK   ebx, 0x3344
        movsx   edx, ax
        CHECK   edx, 0x3344
        xchg    ah, al
        CHECK   eax, 0x11224433
        xchg    [DATA], eax
        CHECK   eax, 0x11223344
        bswap   eax
        CHECK   eax, 0x44332211
        movbe   ecx, [DATA]
        CHECK   ecx, 0x33442211
        movbe   [DATA], cx
        CHECK   dword [DATA], 0x11221122
        mov     esi, 0x1000
        mov     edi, 0x20
        lea     eax, [esi + edi * 8 + 0x12345]
        CHECK   eax, 0x13445
        lea     ax, [esi + edi - 0x1021]
        CHECK   eax, 0x1FFFF
        mov     ebx, DATA
        mov     eax, 1
        xlatb
        CHECK   eax, 0x11
        mov     eax, 0x80
        cbw
        CHECK   eax, 0xFF80
        cwde
        CHECK   eax, 0xFFFFFF80
        mov     edx, 0
        cwd
        CHECK   edx, 0xFFFF
        cdq
        CHECK   edx, 0xFFFFFFFF
        mov     ah, CF | ZF | SF
        sahf
        CHECK_FLAGS CF | PF | AF | ZF | SF, CF | ZF | SF
        lahf
        CHECK   eax, 0xFFFFC380
        salc
        CHECK   eax, 0xFFFFC3FF
        movnti  [DATA + 8], eax
        CHECK   dword [DATA + 8], 0xFFFFC3FF
