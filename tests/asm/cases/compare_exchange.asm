; CMPXCHG, CMPXCHG8B, XADD, with and without LOCK.

%define MODE user32
%include "common.inc"

        mov     dword [DATA], 5
        mov     eax, 5
        mov     ecx, 9
        lock cmpxchg [DATA], ecx
        CHECK_FLAGS ZF, ZF
        CHECK   dword [DATA], 9
        cmpxchg [DATA], ecx             ; 5 is not 9
        CHECK_FLAGS ZF | CF, CF
        CHECK   eax, 9
        mov     al, 0x11
        mov     cl, 0x22
        mov     dl, 0x11
        cmpxchg dl, cl
        CHECK   edx, 0x22
        mov     dword [DATA], 1
        mov     dword [DATA + 4], 2
        mov     eax, 1
        mov     edx, 2
        mov     ebx, 3
        mov     ecx, 4
        lock cmpxchg8b [DATA]
        CHECK_FLAGS ZF, ZF
        CHECK   dword [DATA], 3
        CHECK   dword [DATA + 4], 4
        cmpxchg8b [DATA]
        CHECK_FLAGS ZF, 0
        CHECK   eax, 3
        CHECK   edx, 4
        mov     dword [DATA], 0x7FFFFFFF
        mov     eax, 1
        ALU     {lock xadd [DATA], eax}, 0x7FFFFFFF, SF | OF | AF | PF
        CHECK   dword [DATA], 0x80000000
        mov     eax, 0x1234
        mov     ecx, 0x1111
        xadd    ax, cx
        CHECK   eax, 0x2345
        CHECK   ecx, 0x1234
