; DIV and IDIV: quotients, remainders and their signs.
; undefined: cf pf af zf sf of

%define MODE user32
%include "common.inc"

        mov     edx, 1
        mov     eax, 0
        mov     ecx, 3
        div     ecx
        CHECK   eax, 0x55555555
        CHECK   edx, 1
        mov     eax, -7
        cdq
        mov     ecx, 2
        idiv    ecx
        CHECK   eax, -3
        CHECK   edx, -1
        mov     eax, 7
        cdq
        mov     ecx, -2
        idiv    ecx
        CHECK   eax, -3
        CHECK   edx, 1
        mov     ax, 0x0107
        mov     cl, 16
        div     cl
        CHECK   eax, 0xFFFF0710
        mov     ax, -100
        mov     cl, 7
        idiv    cl
        CHECK   eax, 0xFFFFFEF2
        mov     dx, 0x0001
        mov     ax, 0x0000
        mov     word [DATA], 0x100
        div     word [DATA]
        CHECK   eax, 0xFFFF0100
