; MUL and IMUL in all forms.
; undefined: af zf sf pf

%define MODE user32
%include "common.inc"

        mov     eax, 0xFFFFFFFF
        mov     ecx, 0xFFFFFFFF
        mul     ecx
        CHECK_FLAGS CF | OF, CF | OF
        CHECK   eax, 1
        CHECK   edx, 0xFFFFFFFE
        mov     eax, 0xFFFFFFFF
        imul    ecx
        CHECK_FLAGS CF | OF, 0
        CHECK   eax, 1
        CHECK   edx, 0
        mov     ax, 0x8000
        mov     cx, 2
        mul     cx
        CHECK   edx, 1
        CHECK   eax, 0
        mov     al, 0x80
        mov     cl, 0x80
        imul    cl
        CHECK_FLAGS CF | OF, CF | OF
        CHECK   eax, 0x4000
        mov     al, 16
        mul     al
        CHECK   eax, 0x100
        mov     ebx, -7
        imul    eax, ebx, 3
        CHECK   eax, -21
        imul    eax, ebx
        CHECK   eax, 147
        imul    eax, eax, 0x10000000
        CHECK_FLAGS CF | OF, CF | OF
        CHECK   eax, 0x30000000
        mov     dword [DATA], 1000
        mov     ax, 70
        imul    ax, [DATA], 70
        CHECK_FLAGS CF | OF, CF | OF
        CHECK   eax, 0x30001170
