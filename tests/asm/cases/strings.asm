; MOVS, STOS, LODS, SCAS, CMPS with REP prefixes, both directions.
; memory: 0x20000000 61 62 63 64 65 66 67 68 00

%define MODE user32
%include "common.inc"

        cld
        mov     esi, DATA
        mov     edi, DATA + 0x100
        mov     ecx, 9
        rep movsb
        CHECK   ecx, 0
        CHECK   dword [DATA + 0x104], 'efgh'
        mov     edi, DATA
        xor     eax, eax
        mov     ecx, -1
        repne scasb                     ; strlen
        CHECK_FLAGS ZF, ZF
        not     ecx
        CHECK   ecx, 9
        mov     esi, DATA
        mov     edi, DATA + 0x100
        mov     byte [DATA + 0x105], 'X'
        mov     ecx, 9
        repe cmpsb
        CHECK_FLAGS ZF | CF, 0          ; 'f' is above 'X'
        CHECK   ecx, 3
        CHECK   esi, DATA + 6
        mov     edi, DATA + 0x200
        mov     eax, 0x11223344
        mov     ecx, 3
        rep stosd
        CHECK   dword [DATA + 0x208], 0x11223344
        CHECK   edi, DATA + 0x20C
        stosw
        stosb
        CHECK   dword [DATA + 0x20C], 0x00443344
        std
        mov     esi, DATA + 7
        lodsb
        CHECK   eax, 0x11223368
        CHECK   esi, DATA + 6
        mov     esi, DATA + 0x103       ; overlapping, downwards
        mov     edi, DATA + 0x105
        mov     ecx, 4
        rep movsb
        CHECK   dword [DATA + 0x102], 'abcd'
        cld
        mov     esi, DATA + 0x102       ; overlapping, upwards: the pattern repeats
        mov     edi, DATA + 0x104
        mov     ecx, 3
        rep movsw
        CHECK   dword [DATA + 0x106], 'abab'
        mov     esi, DATA + 0x200
        lodsd
        lodsw
        CHECK   eax, 0x11223344
        mov     edi, DATA + 0x200
        scasd
        scasw
        CHECK_FLAGS ZF, ZF
        mov     esi, DATA + 0x200
        mov     edi, DATA + 0x204
        cmpsd
        cmpsw
        movsd
        xor     ecx, ecx                ; no iteration: flags and pointers stay
        stc
        repe cmpsb
        CHECK_FLAGS CF, CF
