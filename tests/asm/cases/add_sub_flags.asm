; ADD, SUB and CMP: carries, overflows and borrows at every width.

%define MODE user32
%include "common.inc"

        mov     eax, 0x7FFFFFFF
        ALU     {add eax, 1}, 0x80000000, SF | OF | AF | PF
        mov     eax, 0xFFFFFFFF
        ALU     {add eax, 1}, 0, CF | ZF | AF | PF
        mov     eax, 0x80000000
        ALU     {sub eax, 1}, 0x7FFFFFFF, OF | AF | PF
        xor     eax, eax
        ALU     {sub eax, 1}, 0xFFFFFFFF, CF | SF | AF | PF
        mov     eax, 0x1234FFFF
        ALU     {add ax, 1}, 0x12340000, CF | ZF | AF | PF
        mov     eax, 0x1234567F
        ALU     {add al, 1}, 0x12345680, SF | OF | AF
        mov     eax, 0x12348000
        ALU     {sub ah, 1}, 0x12347F00, OF | AF
        mov     eax, 5
        ALU     {cmp eax, 5}, 5, ZF | PF
        ALU     {cmp al, 6}, 5, CF | SF | AF | PF
        mov     dword [DATA], 0xFFFFFFF0
        mov     eax, 0x20
        ALU     {add [DATA], eax}, 0x20, CF
        CHECK   dword [DATA], 0x10
        ALU     {sub byte [DATA + 1], 1}, 0x20, CF | SF | AF | PF
        CHECK   dword [DATA], 0xFF10
