; BT, BTS, BTR, BTC: registers wrap, memory operands reach beyond themselves.
; undefined: of sf af pf zf

%define MODE user32
%include "common.inc"

        mov     eax, 0x80000000
        bt      eax, 31
        CHECK_FLAGS CF, CF
        mov     ecx, 63                 ; the same bit
        btr     eax, ecx
        CHECK_FLAGS CF, CF
        CHECK   eax, 0
        bts     eax, 4
        CHECK_FLAGS CF, 0
        CHECK   eax, 0x10
        btc     eax, 4
        CHECK   eax, 0
        mov     ebx, DATA + 16
        mov     ecx, 100
        bts     [ebx], ecx
        CHECK   dword [DATA + 28], 0x10
        mov     ecx, -1
        bts     [ebx], ecx
        CHECK   dword [DATA + 12], 0x80000000
        btc     [ebx], ecx
        CHECK_FLAGS CF, CF
        CHECK   dword [DATA + 12], 0
        mov     cx, -16
        bts     [ebx], cx
        CHECK   dword [DATA + 12], 0x10000
        bts     dword [ebx], 33         ; an immediate stays inside
        CHECK   dword [DATA + 16], 2
